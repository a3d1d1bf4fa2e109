//! That the page can be read: what is written stands out from what is behind it, by WCAG 2.2 (1.4.3, 1.4.11), whatever colours the reader's system prefers.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::read::strings;
use crate::browser::Browser;

/// What does not stand out: every text beside what is behind it, at 4.5 to 1; every line of a chart, at 3 to 1. And how light the page is, from 0 to 1.
const FAINT: &str = "(() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = parts(colour).map((it) => it / 255).map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (it) => {
        for (; it; it = it.parentElement) {
            const colour = getComputedStyle(it).backgroundColor;
            if (parts(colour)[3] !== 0) return colour;
        }
        return 'rgb(255, 255, 255)';
    };
    const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const written = (it) => [...it.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const seen = [...document.querySelectorAll('body *')].filter((it) => it.checkVisibility());
    const texts = seen.filter(written).map((it) => [it, getComputedStyle(it)[it.closest('svg') ? 'fill' : 'color'], 4.5]);
    const lines = seen.filter((it) => it.matches('path.line')).map((it) => [it, getComputedStyle(it).stroke, 3]);
    return {
        looked_at: [texts.length, lines.length],
        light: light(getComputedStyle(document.body).backgroundColor),
        faint: [...texts, ...lines].map(([it, colour, least]) => [it, contrast(light(colour), light(behind(it))), least])
            .filter(([it, found, least]) => found < least).map(([it, found]) => found.toFixed(2) + ' ' + it.outerHTML.slice(0, 120)),
    };
})()";

/// Has the page think that the reader's system prefers this.
pub(super) fn prefer(browser: &mut Browser, scheme: &str) -> Result<()> {
    let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
    browser.call("Emulation.setEmulatedMedia", &json!({"features": features}))?;
    Ok(())
}

/// Everything on the page stands out, in light colours and in dark ones; the light ones stay.
pub(super) fn stand_out(browser: &mut Browser) -> Result<()> {
    for (scheme, is_light) in [("dark", false), ("light", true)] {
        prefer(browser, scheme)?;
        let found = browser.evaluate(FAINT)?;
        let light = found["light"].as_f64().map(|it| it > 0.5);
        ensure!(light == Some(is_light), "{scheme}: {found}");
        let some = |it: &Value| it.as_u64() > Some(5);
        ensure!(
            strings(&found["faint"]).is_empty() && some(&found["looked_at"][0]),
            "{scheme}: {found}"
        );
    }
    Ok(())
}
