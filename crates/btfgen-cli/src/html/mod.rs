//! The page of `btfgen check --html`: one file with the result of a check as a heat map. It needs no network.
//!
//! The page's script draws everything from the data, which are JSON in the page. Names in the data come from objects and hubs
//! that nobody vouches for. So the data are never markup: their `<` is escaped, the script sets only texts, and the page's
//! policy allows no other script, no image, and no connection.

mod data;
mod runs;

use anyhow::{Context as _, Result};
use btfgen::Support;

use self::data::Data;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// The parts of the script, in their order.
const SCRIPT: [&str; 3] = [
    include_str!("model.js"),
    include_str!("details.js"),
    include_str!("page.js"),
];

/// The page with the result of a check. `asks` has for each object what it asks of a kernel besides its types, as lines.
///
/// # Errors
/// Fails only if the result cannot be JSON.
pub(crate) fn page(support: &Support, asks: &[String]) -> Result<Vec<u8>> {
    render(&Data::new(support, asks))
}

fn render(data: &Data) -> Result<Vec<u8>> {
    let json = serde_json::to_string(data).context("cannot write the page's data as JSON")?;
    // Only strings have a `<`. It could end the script element that has the data.
    let json = json.replace('<', "\\u003c");
    let script = SCRIPT.concat();
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + script.len() + json.len());
    let mut rest = PAGE;
    // In one pass, because the data may have any text.
    for (mark, text) in [
        ("{{style}}", STYLE),
        ("{{data}}", &json),
        ("{{script}}", &script),
    ] {
        let (before, after) = rest
            .split_once(mark)
            .with_context(|| format!("page.html has no {mark}"))?;
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    Ok(page.into_bytes())
}

#[cfg(test)]
mod tests;
