//! The status page: the state, the counters and the last hour for people with a browser.
//!
//! It is one page without anything from elsewhere. What it shows comes as two documents, which are made once for all who ask: `document` is what is
//! now, `history` the last hour. A browser runs nothing but the script of the page itself, and gives whatever is in the documents to nobody.

mod document;
mod history;
mod redact;

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

pub(super) use self::{
    document::{Document, Known},
    history::History,
};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page, with style and script in it.
pub(super) static PAGE: LazyLock<String> = LazyLock::new(|| {
    let page = include_str!("page.html").replace("/*style*/", STYLE);
    page.replace("/*script*/", SCRIPT)
});

/// What a browser may do for the page: run that script, show that style, and ask where the page came from.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let [style, script] = [STYLE, SCRIPT].map(|it| STANDARD.encode(Sha256::digest(it)));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is asked for elsewhere, and nothing that comes from the gate can become markup.
    #[test]
    fn the_page_is_whole_and_makes_no_markup() {
        let page = &*PAGE;
        assert!(page.contains(STYLE) && page.contains(SCRIPT));
        assert!(!STYLE.contains("</style") && !SCRIPT.contains("</script"));
        let without_names = page.replace("http://www.w3.org/2000/svg", "");
        for word in [
            "http:",
            "https:",
            "//cdn",
            "@import",
            "url(",
            "src=",
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            assert!(!without_names.contains(word), "{word}");
        }
        for handler in ["onclick=", "onload=", "onerror="] {
            assert!(!page.contains(handler), "{handler}");
        }
    }
}
