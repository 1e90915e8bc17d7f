//! Fetches out of repositories of this machine, for all that has nothing to do with how files come. With a network, and as
//! a command, they are tested in btfgen-cli.

mod suite {
    mod chunks;
    mod hostile;
    mod oddities;
    mod readers;
    mod several;
    mod update;
    mod util;
    mod writers;
}
