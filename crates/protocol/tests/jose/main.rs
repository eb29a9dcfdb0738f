//! Our JOSE implementation against another library, the RFCs' test vectors, and malformed input.

mod access_token;
mod another_library;
mod keys;
mod rfc_vectors;
mod round_trip;
mod strictness;
mod weak_keys;
mod wycheproof_vectors;
