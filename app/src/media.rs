//! Where a stored file is fetched from.

/// The address of a file: on its server, or inside the page where the page was saved as one file.
pub fn media_url(hash: &str) -> String {
    #[cfg(feature = "browser")]
    if let Some(inside) = inside(hash) {
        return inside;
    }
    format!("/media/{hash}")
}

/// A page saved as one file lists its media in `omnitraceMedia`.
#[cfg(feature = "browser")]
fn inside(hash: &str) -> Option<String> {
    let all = js_sys::Reflect::get(&js_sys::global(), &"omnitraceMedia".into()).ok()?;
    if all.is_undefined() {
        return None;
    }
    js_sys::Reflect::get(&all, &hash.into()).ok()?.as_string()
}
