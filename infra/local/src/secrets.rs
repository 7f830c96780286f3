//! The secrets of a home: made on its first start, kept beside its data, readable by its owner alone. And the steps by
//! which those of any deployment are replaced while it runs ([`Step`]; the runbook is `shared/docs/secrets.md`).

use crate::HomeError;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use tessera::text::hex;

/// Reads `secrets.json` of a data folder, and adds what it lacks.
///
/// # Errors
/// If the file cannot be read or written, or is no JSON object of texts.
pub(crate) fn open(folder: &Path) -> Result<BTreeMap<String, String>, HomeError> {
    let path = folder.join("secrets.json");
    let what = || path.display().to_string();
    let mut secrets: BTreeMap<String, String> = match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| HomeError::Data(format!("{}: {error}", path.display())))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(HomeError::io(what())(error)),
    };
    let known = secrets.len();
    complete(&mut secrets)?;
    if secrets.len() > known {
        let text = serde_json::to_vec_pretty(&secrets).map_err(HomeError::store(what()))?;
        write(&path, &text).map_err(HomeError::io(what()))?;
    }
    Ok(secrets)
}

/// The secrets of a data folder, or fresh ones for a home that keeps nothing.
///
/// # Errors
/// As [`open`].
pub(crate) fn of(folder: Option<&Path>) -> Result<BTreeMap<String, String>, HomeError> {
    if let Some(folder) = folder {
        return open(folder);
    }
    let mut secrets = BTreeMap::new();
    complete(&mut secrets)?;
    Ok(secrets)
}

/// Under another name first: a start that is interrupted leaves no half file.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("json.new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

fn random<const N: usize>() -> Result<[u8; N], HomeError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(HomeError::store("random bytes"))?;
    Ok(bytes)
}

/// A step of replacing the key that signs access tokens, and the secret that seals everything else. Each is deployed before
/// the next is taken: functions are not replaced all at once, and every one must know a key before any uses it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A new key is published and a new secret verifies; the old ones are in use.
    Add,
    /// The new ones are in use; the old ones are still good.
    Switch,
    /// Only the key in use is good.
    RetireKeys,
    /// Only the secret in use is good.
    RetireSecrets,
}

/// Under this name a key waits for [`Step::Switch`].
const NEXT: &str = "access_private_key_next";

type Secrets = BTreeMap<String, String>;

/// A whole fresh set.
///
/// # Errors
/// If there is no randomness.
pub fn fresh() -> Result<Secrets, HomeError> {
    of(None)
}

/// The set with a step taken.
///
/// # Errors
/// If the set is not one of ours, or the step does not follow.
pub fn step(mut secrets: Secrets, step: Step) -> Result<Secrets, HomeError> {
    let wrong = |what: &str| HomeError::Data(format!("the secrets: {what}"));
    let known = |secrets: &Secrets, name: &str| {
        secrets.get(name).cloned().ok_or_else(|| wrong(&format!("{name} is missing")))
    };
    let mut words: Vec<String> =
        known(&secrets, "token_secrets")?.split(',').map(|word| word.trim().to_owned()).collect();
    let set = known(&secrets, "access_public_keys")?;
    let mut set: serde_json::Value = serde_json::from_str(&set).map_err(HomeError::store("the key set"))?;
    let keys = set["keys"].as_array_mut().ok_or_else(|| wrong("access_public_keys has no keys"))?;
    let waiting = secrets.remove(NEXT);
    match (step, waiting) {
        (Step::Add, None) => {
            let (private, public) = key()?;
            keys.push(public);
            secrets.insert(NEXT.to_owned(), private);
            words.push(STANDARD.encode(random::<32>()?));
        }
        (Step::Switch, Some(next)) => {
            secrets.insert("access_private_key".to_owned(), next);
            words.rotate_right(1);
        }
        (Step::RetireKeys, None) => {
            let seed = STANDARD.decode(known(&secrets, "access_private_key")?);
            let seed = seed.ok().and_then(|seed| seed.try_into().ok());
            let seed = seed.ok_or_else(|| wrong("access_private_key is no seed"))?;
            let x = URL_SAFE_NO_PAD.encode(public(&seed)?);
            keys.retain(|key| key["x"] == x.as_str());
        }
        (Step::RetireSecrets, None) => words.truncate(1),
        (Step::Switch, None) => return Err(wrong("add a key first")),
        (Step::Add | Step::RetireKeys | Step::RetireSecrets, Some(_)) => {
            return Err(wrong("a key was added: switch to it first"));
        }
    }
    secrets.insert("access_public_keys".to_owned(), set.to_string());
    secrets.insert("token_secrets".to_owned(), words.join(","));
    Ok(secrets)
}

/// A private key as base64 of its seed, and the public one as a JWK.
fn key() -> Result<(String, serde_json::Value), HomeError> {
    let seed = random::<32>()?;
    let x = URL_SAFE_NO_PAD.encode(public(&seed)?);
    let kid = format!("key-{}", x.get(..8).unwrap_or_default());
    let public = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x});
    Ok((STANDARD.encode(seed), public))
}

fn public(seed: &[u8; 32]) -> Result<Vec<u8>, HomeError> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(HomeError::store("an Ed25519 key"))?;
    Ok(pair.public_key().as_ref().to_vec())
}

/// Makes every secret that is not there. A public key is made together with its private one.
fn complete(secrets: &mut BTreeMap<String, String>) -> Result<(), HomeError> {
    if !secrets.contains_key("access_private_key") || !secrets.contains_key("access_public_keys") {
        let (private, public) = key()?;
        secrets.insert("access_private_key".into(), private);
        secrets.insert("access_public_keys".into(), json!({"keys": [public]}).to_string());
    }
    if !secrets.contains_key("ticket_private_key") || !secrets.contains_key("ticket_public_keys") {
        let seed = random::<32>()?;
        secrets.insert("ticket_private_key".into(), STANDARD.encode(seed));
        secrets.insert("ticket_public_keys".into(), STANDARD.encode(public(&seed)?));
    }
    let mut word = |name: &str, make: &dyn Fn([u8; 32]) -> String| -> Result<(), HomeError> {
        if !secrets.contains_key(name) {
            secrets.insert(name.to_owned(), make(random()?));
        }
        Ok(())
    };
    word("token_secrets", &|bytes| STANDARD.encode(bytes))?;
    word("stripe_secret_key", &|bytes| format!("sk_test_local{}", hex(&bytes[..16])))?;
    word("stripe_webhook_secrets", &|bytes| format!("whsec_{}", hex(bytes)))?;
    word("razorpay_key_id", &|bytes| format!("rzp_test_{}", hex(&bytes[..7])))?;
    word("razorpay_key_secret", &|bytes| hex(&bytes[..12]))?;
    word("razorpay_webhook_secrets", &|bytes| hex(&bytes[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_only_their_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        assert_eq!(first, open(folder.path()).unwrap());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(folder.path().join("secrets.json")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn public_keys_belong_to_their_private_ones() {
        let mut secrets = BTreeMap::new();
        complete(&mut secrets).unwrap();
        let seed = |name: &str| -> [u8; 32] { STANDARD.decode(&secrets[name]).unwrap().try_into().unwrap() };
        let set: serde_json::Value = serde_json::from_str(&secrets["access_public_keys"]).unwrap();
        let x = URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().unwrap()).unwrap();
        assert_eq!(x, public(&seed("access_private_key")).unwrap());
        let ticket = STANDARD.decode(&secrets["ticket_public_keys"]).unwrap();
        assert_eq!(ticket, public(&seed("ticket_private_key")).unwrap());
        assert_eq!(STANDARD.decode(&secrets["token_secrets"]).unwrap().len(), 32);
    }

    #[test]
    fn keys_and_secrets_are_replaced_step_by_step_and_in_no_other_order() {
        let keys = |secrets: &Secrets| {
            let set: serde_json::Value = serde_json::from_str(&secrets["access_public_keys"]).unwrap();
            set["keys"].as_array().unwrap().len()
        };
        let words = |secrets: &Secrets| -> Vec<String> {
            secrets["token_secrets"].split(',').map(str::to_owned).collect()
        };
        let old = fresh().unwrap();
        assert!(step(old.clone(), Step::Switch).is_err(), "nothing to switch to");
        let added = step(old.clone(), Step::Add).unwrap();
        assert_eq!(added["access_private_key"], old["access_private_key"]);
        assert_eq!((keys(&added), words(&added)[0].clone()), (2, old["token_secrets"].clone()));
        for early in [Step::Add, Step::RetireKeys, Step::RetireSecrets] {
            assert!(step(added.clone(), early).is_err(), "{early:?}");
        }
        let switched = step(added.clone(), Step::Switch).unwrap();
        assert_eq!(switched["access_private_key"], added[NEXT]);
        assert!(!switched.contains_key(NEXT));
        assert_eq!(keys(&switched), 2);
        assert_eq!(words(&switched), [words(&added)[1].clone(), words(&added)[0].clone()]);
        let retired = step(step(switched, Step::RetireKeys).unwrap(), Step::RetireSecrets).unwrap();
        assert_eq!((keys(&retired), words(&retired)), (1, vec![words(&added)[1].clone()]));
        assert!(!retired["access_public_keys"].contains(&public_of(&old)), "the old key is gone");
        assert_eq!(retired["ticket_private_key"], old["ticket_private_key"], "everything else stays");
    }

    fn public_of(secrets: &Secrets) -> String {
        let seed = STANDARD.decode(&secrets["access_private_key"]).unwrap().try_into().unwrap();
        URL_SAFE_NO_PAD.encode(public(&seed).unwrap())
    }

    #[test]
    fn a_secret_added_by_a_newer_version_leaves_the_old_ones_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut old = open(folder.path()).unwrap();
        let removed = old.remove("stripe_secret_key").unwrap();
        std::fs::write(folder.path().join("secrets.json"), serde_json::to_vec(&old).unwrap()).unwrap();
        let mut new = open(folder.path()).unwrap();
        assert_ne!(new.remove("stripe_secret_key").unwrap(), removed);
        assert_eq!(new, old);
    }
}
