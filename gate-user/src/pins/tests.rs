//! Names of pins, and where they may be.

use super::*;

#[test]
fn interface_names_come_back() {
    for name in ["eth0", "eth0.100", "a%2e", "%", "..", "x%25y.z"] {
        let file = encode(name);
        assert!(!file.contains('.'), "{file}");
        assert_eq!(decode(&file), name);
    }
}

#[test]
fn a_directory_elsewhere_is_refused() {
    let pins = Pins::new(Path::new("/proc/gate")).unwrap();
    assert!(matches!(pins.lock(), Err(PinsError::NotBpffs { .. })));
}
