//! Our JOSE before judges that are not ours: another library, the vectors of the RFCs, and everything malformed.

mod access_token;
mod another_library;
mod keys;
mod rfc_vectors;
mod round_trip;
mod strictness;
mod weak_keys;
mod wycheproof_vectors;
