//! The report as one HTML file: the committed page with the recording's data placed inside it.
//!
//! The page (`report/web`) is built once into `assets/report.html`; its content policy names its own script and style by
//! hash, so the only thing that may differ between two reports is the text of one `<script type="text/plain">`, which no
//! browser executes. That text is base64, so nothing a target calls its functions can end the element.

mod call_tree;
mod encode;
mod page;
mod survival;
mod table;

use thiserror::Error;

use crate::{analysis::Analysis, recording::Recording};

/// The built page. `npm run build` in `report/web` writes it, `npm run check-built` compares.
const TEMPLATE: &str = include_str!("../assets/report.html");
/// What the data replaces in the page.
const PLACEHOLDER: &str = "__LEAKHOUND_DATA__";

/// Why no report came out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The facts could not be written as JSON.
    #[error("cannot write the facts of the report as JSON")]
    Facts(#[source] serde_json::Error),
    /// The page's data could not be compressed.
    #[error("cannot compress the data of the report")]
    Compress(#[source] std::io::Error),
    /// The committed page has no place for the data: it was not built by `npm run build` in `report/web`.
    #[error("the built page has no place for data: run `npm run build` in report/web and compile again")]
    Template,
}

/// The report on `recording`, as `analysis` judges it: one HTML document that opens offline and requests nothing.
///
/// The same input gives the same bytes.
pub fn render(recording: &Recording, analysis: &Analysis) -> Result<String, RenderError> {
    render_kept(recording, analysis, None)
}

/// [`render`] of a recording that is kept in a file of this name: the page's next commands can use it then.
pub fn render_kept(
    recording: &Recording,
    analysis: &Analysis,
    kept_as: Option<&str>,
) -> Result<String, RenderError> {
    let (before, after) = TEMPLATE.split_once(PLACEHOLDER).ok_or(RenderError::Template)?;
    let data = encode::pack(&page::facts(recording, analysis, kept_as))?;
    let mut html = String::with_capacity(TEMPLATE.len() + data.len());
    html.push_str(before);
    html.push_str(&data);
    html.push_str(after);
    Ok(html)
}

#[cfg(test)]
mod tests;
