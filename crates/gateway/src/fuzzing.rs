//! What must hold of whatever a client writes. `fuzz/` looks for what breaks it; the tests below replay what it kept.

mod headers;
mod route;
mod wire;

pub use headers::headers;
pub use route::route;
pub use wire::wire;

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn replay(target: &str, check: fn(&[u8])) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut replayed = 0;
        for entry in std::fs::read_dir(&kept).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            check(&std::fs::read(&path).unwrap());
            replayed += 1;
        }
        assert!(replayed > 0, "{}", kept.display());
    }

    #[test]
    fn routes_that_were_kept() {
        replay("route", super::route);
    }

    #[test]
    fn headers_that_were_kept() {
        replay("headers", super::headers);
    }

    #[test]
    fn json_that_was_kept() {
        replay("wire", super::wire);
    }
}
