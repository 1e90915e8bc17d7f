//! The events of the BPF program, and how to print them.

use std::fmt;
use std::mem::offset_of;
use std::ops::Range;

use crate::skel::types::execsnoop_event;

/// `EXECSNOOP_ARG_LEN` of execsnoop.h: an argument with its NUL is cut to this many bytes.
const ARG_LEN: usize = 128;

/// The names of the columns.
pub const HEADER: &str = "PCOMM            PID     PPID    RET ARGS";

/// The printed fields of `struct execsnoop_event` of execsnoop.h. Strings are without their NUL.
pub struct Event<'a> {
    pid: i32,
    ppid: i32,
    result: i32,
    comm: &'a [u8],
    path: &'a [u8],
    args: &'a [u8],
    args_cut: bool,
}

impl<'a> Event<'a> {
    /// Reads a record; `None` if it is too short.
    pub fn parse(record: &'a [u8]) -> Option<Self> {
        let args_at = offset_of!(execsnoop_event, args);
        let args_len = u32_at(record, offset_of!(execsnoop_event, args_len))?;
        // The kernel pads the record.
        let args = record.get(args_at..)?.get(..args_len as usize)?;
        Some(Self {
            pid: i32_at(record, offset_of!(execsnoop_event, pid))?,
            ppid: i32_at(record, offset_of!(execsnoop_event, ppid))?,
            result: i32_at(record, offset_of!(execsnoop_event, result))?,
            comm: string_in(
                record,
                offset_of!(execsnoop_event, comm)..offset_of!(execsnoop_event, path),
            )?,
            path: string_in(record, offset_of!(execsnoop_event, path)..args_at)?,
            args,
            args_cut: u32_at(record, offset_of!(execsnoop_event, args_cut))? != 0,
        })
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid, ppid, result, ..
        } = self;
        let comm = Word(self.comm).to_string();
        write!(f, "{comm:<16} {pid:<7} {ppid:<7} {result:>3} ")?;

        match self.args.strip_suffix(b"\0") {
            Some(args) => {
                for (n, arg) in args.split(|&byte| byte == 0).enumerate() {
                    let space = if n > 0 { " " } else { "" };
                    let cut = if arg.len() + 1 >= ARG_LEN { "..." } else { "" };
                    write!(f, "{space}{}{cut}", Word(arg))?;
                }
            }
            // If even the first argument is missing, print the path.
            None => write!(f, "{}", Word(self.path))?,
        }
        f.write_str(if self.args_cut { " ..." } else { "" })
    }
}

/// Prints as one word: in double quotes unless it is plain, with escapes as in C for quotes, backslashes and all that is
/// not printable ASCII, so that no other process decides what a terminal does.
struct Word<'a>(&'a [u8]);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"%+,-./:=@_".contains(byte);
        let quote = if !self.0.is_empty() && self.0.iter().all(is_plain) {
            ""
        } else {
            "\""
        };
        f.write_str(quote)?;
        for &byte in self.0 {
            match byte {
                b'\'' => f.write_str("'")?,
                _ => write!(f, "{}", byte.escape_ascii())?,
            }
        }
        f.write_str(quote)
    }
}

fn i32_at(record: &[u8], offset: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*record.get(offset..)?.first_chunk()?))
}

fn u32_at(record: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*record.get(offset..)?.first_chunk()?))
}

fn string_in(record: &[u8], range: Range<usize>) -> Option<&[u8]> {
    record.get(range)?.split(|&byte| byte == 0).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event<'a>(args: &'a [u8]) -> Event<'a> {
        Event {
            pid: 7,
            ppid: 1,
            result: 0,
            comm: b"tmux: server",
            path: b"/bin/true",
            args,
            args_cut: false,
        }
    }

    /// Check that arguments are separated, and that control characters in them are escaped.
    #[test]
    fn arguments_are_quoted() {
        let line = event(b"true\0\0two words\0\"it's\\\x1b[31m\xff\n\0").to_string();
        assert_eq!(
            line,
            "\"tmux: server\"   7       1         0 true \"\" \"two words\" \"\\\"it's\\\\\\x1b[31m\\xff\\n\""
        );
        assert_eq!(
            event(b"\0").to_string(),
            "\"tmux: server\"   7       1         0 \"\""
        );
    }

    /// Check that the output says if arguments are missing.
    #[test]
    fn cut_arguments_are_marked() {
        let mut args = vec![b'x'; ARG_LEN];
        args[ARG_LEN - 1] = 0;
        assert!(event(&args).to_string().ends_with("xxx..."));
        let unread = Event {
            args_cut: true,
            ..event(b"")
        };
        assert!(unread.to_string().ends_with("0 /bin/true ..."));
    }

    /// Check that a record is read up to its stated length, and refused if it is shorter.
    #[test]
    fn records_are_bounded() {
        let args_at = offset_of!(execsnoop_event, args);
        let args_len_at = offset_of!(execsnoop_event, args_len);
        let mut record = vec![0; args_at + 8];
        record[..4].copy_from_slice(&7_i32.to_ne_bytes());
        record[args_len_at..][..4].copy_from_slice(&5_u32.to_ne_bytes());
        record[args_at..].copy_from_slice(b"true\0pad");
        let event = Event::parse(&record).unwrap();
        assert_eq!((event.pid, event.args), (7, &b"true\0"[..]));
        assert!(Event::parse(&record[..args_at + 4]).is_none());
        assert!(Event::parse(&[]).is_none());
    }
}
