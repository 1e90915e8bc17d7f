//! The page as bytes. `scripts/html-test` opens pages in a browser.

use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use super::data::{Data, Kernels, Need, Object, Program, Row};
use super::runs::{letter, runs};
use super::*;

/// A name that would end the script that has the data, and run a script of its own.
const HOSTILE: &str =
    "</script><script>document.title = 'broken'</script><img src=x onerror=alert(1)><!--{{script}}";

/// A made-up result, far worse than real ones: no two kernels are equal, so each is its own group, and every relocation changes at
/// every third kernel.
fn made_up(kernels: usize, rows: usize) -> Data {
    let mut data = Data {
        version: "0",
        groups: kernels,
        ..Data::default()
    };
    for kernel in 0..kernels {
        let version = kernel / 100;
        if kernel % 100 == 0 {
            data.kernels.push(Kernels {
                distro: ["debian", "fedora", "ubuntu"][version * 3 / kernels.div_ceil(100)]
                    .to_owned(),
                version: format!("{version}"),
                arch: "x86_64".to_owned(),
                releases: Vec::new(),
                groups: Vec::new(),
            });
        }
        if let Some(last) = data.kernels.last_mut() {
            last.releases
                .push(format!("5.{version}.0-{kernel}-generic"));
            last.groups.push(kernel);
        }
    }
    // Always the same random numbers.
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    let mut changing = |of: &[char]| {
        let mut last = of[0];
        let cells = (0..kernels).map(|_| {
            if random(3) == 0 {
                last = of[random(of.len())];
            }
            last
        });
        runs(cells.collect::<Vec<_>>())
    };
    let options: Vec<char> = (0..60).map(letter).collect();
    let hostile = data.texts.add(HOSTILE);
    let mut programs: Vec<Program> = Vec::new();
    for row in 0..rows {
        if row % 20 == 0 {
            let verdicts = changing(&['l', 'l', 'p', 'f']);
            programs.push(Program {
                name: Some(data.texts.add(format!("program_{}", row / 20))),
                section: data.texts.add("kprobe/do_something"),
                autoload: true,
                cells: Some(data.cells.add(verdicts)),
                rows: Vec::new(),
            });
        }
        let name = format!("struct made_up_{}.field_{row}", row % 50);
        let answers = changing(&options);
        data.needs.push(Need {
            kind: "byte_off",
            name: if row == 0 {
                hostile
            } else {
                data.texts.add(name)
            },
            options: (0..60)
                .map(|n| {
                    (
                        data.texts.add(format!("at byte {n}, 8 bytes")),
                        (n > 50).then_some(hostile),
                        (n > 50).then_some([hostile; 3]),
                    )
                })
                .collect(),
            answers: data.cells.add(answers),
        });
        let effects = changing(&['.', '.', '.', '.', 'n', 'g', 'p', 'r']);
        if let Some(last) = programs.last_mut() {
            last.rows.push(Row {
                need: row,
                file: Some(data.texts.add("made-up.bpf.c")),
                line: Some(row as u32 + 1),
                source: Some(hostile),
                instructions: vec![row as u32],
                cells: data.cells.add(effects),
            });
        }
    }
    let verdicts = data
        .cells
        .add(runs((0..kernels).map(|n| ['l', 'f'][n % 2])));
    data.objects.push(Object {
        name: data.texts.add("made-up.bpf.o"),
        cells: verdicts,
        asks: Vec::new(),
        programs,
    });
    data
}

fn hash_of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    format!(
        "'sha256-{}'",
        base64::engine::general_purpose::STANDARD.encode(digest)
    )
}

/// Check that the page's policy allows exactly its own script and style. If this fails, put these hashes into `page.html`.
#[test]
fn policy() {
    let script = format!("script-src {};", hash_of(&SCRIPT.concat()));
    let style = format!("style-src {};", hash_of(STYLE));
    assert!(PAGE.contains(&script), "page.html needs {script} {style}");
    assert!(PAGE.contains(&style), "page.html needs {script} {style}");
}

/// Check that names cannot end the element that has the data, and that the data are JSON with these names.
#[test]
fn hostile_names() {
    let data = made_up(3, 2);
    let page = String::from_utf8(render(&data).expect("it can be written")).expect("it is UTF-8");
    let expected = PAGE.matches("</script>").count();
    assert_eq!(page.matches("</script>").count(), expected);
    assert_eq!(page.matches("<img").count(), 0);
    let (_, json) = page
        .split_once("type=\"application/json\">")
        .expect("it has data");
    let (json, _) = json.split_once("</script>").expect("they end");
    let json: serde_json::Value = serde_json::from_str(json).expect("it is JSON");
    assert_eq!(json["texts"][0], HOSTILE);
}

/// Check that a page of 5,000 kernels and 1,000 relocations has less than 10 MB, even if no two kernels are equal. With
/// `BTFGEN_HTML_PAGE`, write the page to this file, for `scripts/html-test`.
#[test]
fn size() {
    let page = render(&made_up(5000, 1000)).expect("it can be written");
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
    if let Some(file) = std::env::var_os("BTFGEN_HTML_PAGE") {
        std::fs::write(file, page).expect("the page can be written");
    }
}
