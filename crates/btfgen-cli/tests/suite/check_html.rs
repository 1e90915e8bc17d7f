//! `btfgen check --html`. `scripts/html-test` opens the page in a browser.

use std::{env, fs};

use crate::suite::{btfgen, hub, run};

/// Check that the page has the texts of the result, that the same check writes the same page, and that nothing is written if
/// the page cannot be. With `BTFGEN_HTML_PAGE`, leave the page there, for `scripts/html-test`.
#[test]
fn check_html() {
    let folder = tempfile::tempdir().unwrap();
    let pages = ["a.html", "b.html"].map(|name| {
        let page = folder.path().join(name);
        let mut command = btfgen();
        command.args(["check", "--no-store", "--hub"]).arg(hub());
        command.arg(btfgen_testkit::object("guards"));
        command.arg("--html").arg(&page);
        run(&mut command, 0, &[]);
        fs::read_to_string(page).unwrap()
    });
    assert_eq!(pages[0], pages[1]);
    for known in [
        "\"struct task_struct.__state\"",
        "no field `__state` in `struct task_struct`; nearest: `state`",
        "guards.bpf.c",
        "without_guard",
        "5.10.0-30-cloud-amd64",
    ] {
        assert!(pages[0].contains(known), "no {known}");
    }
    if let Some(page) = env::var_os("BTFGEN_HTML_PAGE") {
        fs::write(page, &pages[0]).unwrap();
    }

    let mut command = btfgen();
    command.args(["check", "--no-store", "--hub"]).arg(hub());
    command.arg(btfgen_testkit::object("guards"));
    command
        .arg("--html")
        .arg(folder.path().join("missing/page.html"));
    run(&mut command, 1, &["missing"]);
}
