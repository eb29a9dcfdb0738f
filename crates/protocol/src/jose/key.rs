//! Keys, parsed once: private keys that sign and public keys that verify.

use std::ops::RangeInclusive;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::jose::algorithm::Algorithm;
use crate::jose::jwk::{Jwk, KeyId, KeyMaterial};

/// A key could not be created, parsed or used. The crypto library does not say why.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the key is malformed, too weak, or for another algorithm")]
pub struct KeyError;

/// The allowed sizes of an RSA modulus, in bits. Shorter ones are insecure, longer ones are too slow to verify.
const RSA_MODULUS_BITS: RangeInclusive<usize> = 2048..=8192;
/// The allowed sizes of an RSA exponent, in bits. With 1, anyone could sign, and a long one is too slow to verify.
const RSA_EXPONENT_BITS: RangeInclusive<usize> = 2..=33;

/// The number of characters per line of PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;

/// A private key that signs.
pub struct SigningKey {
    pair: Pair,
    random: SystemRandom,
    jwk: Jwk,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(Box<RsaKeyPair>),
    EdDsa(Ed25519KeyPair),
}

impl SigningKey {
    /// Creates a private key. The result is PKCS #8 (RFC 5208), for [`SigningKey::from_pkcs8`], and must be sealed for
    /// storage.
    pub fn generate(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                .map(|document| document.as_ref().to_vec()),
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random).map(|document| document.as_ref().to_vec()),
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048)
                .and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map(|der| der.as_ref().to_vec())),
        };
        document.map(Zeroizing::new).map_err(|_| KeyError)
    }

    /// Parses a PKCS #8 private key of the algorithm. Refuses RSA below 2048 bits.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let (pair, material) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| KeyError)?;
                let material = KeyMaterial::from_p256_point(pair.public_key().as_ref()).ok_or(KeyError)?;
                (Pair::Es256(pair), material)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError)?;
                let public = pair.public_key();
                let n = public.modulus().big_endian_without_leading_zero().to_vec();
                let e = public.exponent().big_endian_without_leading_zero().to_vec();
                check_rsa(&n, &e)?;
                (Pair::Rs256(Box::new(pair)), KeyMaterial::Rsa { n, e })
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError)?;
                let material = KeyMaterial::from_ed25519(pair.public_key().as_ref()).ok_or(KeyError)?;
                (Pair::EdDsa(pair), material)
            }
        };
        Ok(Self { pair, random: SystemRandom::new(), jwk: Jwk::new(algorithm, material) })
    }

    /// Returns the public key, with its thumbprint as the key ID.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs. ECDSA signatures have the fixed-length format `R || S` (RFC 7518 §3.4).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.pair {
            Pair::Es256(pair) => {
                pair.sign(&self.random, message).map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyError)
            }
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &self.random, message, &mut signature).map_err(|_| KeyError)?;
                Ok(signature)
            }
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, ********)", self.jwk.key_id())
    }
}

/// A public key that verifies.
#[derive(Debug)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key_id: KeyId,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// Parses the public key of a JWK. Refuses RSA below 2048 bits and keys that could never verify anything.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let key = match jwk.material() {
            KeyMaterial::P256 { x, y } => {
                let point = [&[4u8][..], x, y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).parse().map_err(|_| KeyError)?
            }
            KeyMaterial::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, x).parse().map_err(|_| KeyError)?,
            KeyMaterial::Rsa { n, e } => {
                check_rsa(n, e)?;
                let components = PublicKeyComponents { n, e };
                components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).map_err(|_| KeyError)?
            }
        };
        Ok(Self { algorithm: jwk.algorithm(), key_id: jwk.key_id().clone(), key })
    }

    /// Returns the public key as PEM, a `SubjectPublicKeyInfo` (RFC 7468 §13).
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let der: PublicKeyX509Der<'_> = self.key.as_der().map_err(|_| KeyError)?;
        let text = STANDARD.encode(der.as_ref());
        let lines = text.as_bytes().chunks(PEM_LINE).map(String::from_utf8_lossy).collect::<Vec<_>>();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }

    /// Returns the only algorithm that this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns its key ID.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// True if this key has made `signature` over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

/// The crypto library accepts any two numbers as a key, and then refuses every signature.
fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), KeyError> {
    let fits = RSA_MODULUS_BITS.contains(&bits(n)) && RSA_EXPONENT_BITS.contains(&bits(e));
    if fits && is_odd(n) && is_odd(e) { Ok(()) } else { Err(KeyError) }
}

/// Returns the length of a big-endian number in bits.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros).map_or(0, |first| (number.len() - zeros) * 8 - first.leading_zeros() as usize)
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last % 2 == 1)
}
