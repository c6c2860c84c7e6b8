//! Who a replica is: a number that no other start of the program has.
//!
//! Drawn once per ledger. Counters start from zero with a new identity, so a
//! replica that comes back at the same address is not taken for the one before,
//! and a replica that reaches itself knows it by this number.

use std::fmt;

/// The identity of one start of one replica.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(u128);

impl Identity {
    /// A new one, at random.
    pub(crate) fn draw() -> Self {
        Self(fastrand::u128(1..))
    }

    /// From its form on the wire. `None` unless it is 16 bytes, not all zero.
    pub(crate) fn from_wire(bytes: &[u8]) -> Option<Self> {
        let number = u128::from_be_bytes(bytes.try_into().ok()?);
        (number != 0).then_some(Self(number))
    }

    /// Its form on the wire.
    pub(crate) fn to_wire(self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_never_equal_and_each_survives_the_wire() {
        let (one, other) = (Identity::draw(), Identity::draw());
        assert_ne!(one, other);
        assert_eq!(Identity::from_wire(&one.to_wire()), Some(one));
        assert_eq!(one.to_string().len(), 32);
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        assert_eq!(Identity::from_wire(&[]), None);
        assert_eq!(Identity::from_wire(&[1; 15]), None);
        assert_eq!(Identity::from_wire(&[0; 16]), None);
    }
}
