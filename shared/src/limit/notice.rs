//! What callers are told: `RateLimit-Policy` and `RateLimit`, by draft-ietf-httpapi-ratelimit-headers-11 (lists of items of structured
//! fields, RFC 9651).
//!
//! The policy is in every answer that was counted; what is left of it only where the store was asked, because nobody knows
//! it otherwise.

use super::bucket::Bucket;
use super::{By, Class, Quota, bucket_name};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// What is allowed.
pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it.
pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Where a caller stands with the buckets that a request was charged to.
#[derive(Clone, Debug, Default)]
pub struct Notice {
    policies: Vec<String>,
    limits: Vec<String>,
}

impl Notice {
    /// One bucket more; `known` if the store has just told how full it is.
    pub fn add(&mut self, class: Class, by: By, quota: Quota, known: Option<Bucket>, now: i64) {
        let name = bucket_name(class, by);
        let Quota { burst, seconds } = quota;
        self.policies.push(format!("\"{name}\";q={burst};w={seconds}"));
        if let Some(bucket) = known {
            let (left, refills) = (bucket.left(quota, now), bucket.refills_in(quota, now));
            self.limits.push(format!("\"{name}\";r={left};t={refills}"));
        }
    }

    /// Writes the headers.
    pub fn write(&self, headers: &mut HeaderMap) {
        for (name, items) in [(POLICY, &self.policies), (LIMIT, &self.limits)] {
            // Never fails: names and numbers.
            if let (false, Ok(value)) = (items.is_empty(), HeaderValue::from_str(&items.join(", "))) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::bucket::SECOND;

    #[test]
    fn the_headers_are_lists_of_items_with_whole_numbers() {
        let (now, mut notice) = (1_800_000_000 * SECOND, Notice::default());
        let quota = Quota { burst: 10, seconds: 60 };
        notice.add(Class::GiftCard, By::Caller, quota, Some(Bucket { tat: now + 31 * SECOND }), now);
        notice.add(Class::GiftCard, By::Address, quota, None, now);
        let mut headers = HeaderMap::new();
        notice.write(&mut headers);
        assert_eq!(headers[POLICY], r#""gift_card";q=10;w=60, "gift_card_address";q=10;w=60"#);
        // Six seconds each: of ten, five are out and a part of one.
        assert_eq!(headers[LIMIT], r#""gift_card";r=4;t=31"#);
        headers.clear();
        Notice::default().write(&mut headers);
        assert!(headers.is_empty());
    }
}
