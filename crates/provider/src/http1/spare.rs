//! Header maps between two uses: a thread makes few of them, and uses each for one message after the other.

use std::cell::RefCell;

use http::HeaderMap;

/// Maps that a thread keeps, and the largest that is worth it.
const KEPT_MAX: usize = 32;
const CAPACITY_MAX: usize = 96;
/// Room for what a message brings and what the gateway adds.
const CAPACITY: usize = 12;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map that has room.
pub(super) fn take() -> HeaderMap {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| HeaderMap::with_capacity(CAPACITY))
}

/// Keeps the map, without what is in it.
pub(super) fn put(mut map: HeaderMap) {
    map.clear();
    if (CAPACITY..=CAPACITY_MAX).contains(&map.capacity()) {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < KEPT_MAX {
                spare.push(map);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::HOST;

    use super::*;

    #[test]
    fn a_map_comes_back_empty_and_large_ones_do_not() {
        let mut map = take();
        map.append(HOST, HeaderValue::from_static("a"));
        map.append(HOST, HeaderValue::from_static("b"));
        let capacity = map.capacity();
        put(map);
        let map = take();
        assert!(map.is_empty());
        assert_eq!(map.capacity(), capacity);
        put(HeaderMap::with_capacity(10 * CAPACITY_MAX));
        assert!(take().capacity() <= CAPACITY_MAX);
    }
}
