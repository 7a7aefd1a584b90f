//! A list of ciphers in the manner of OpenSSL, as far as it says something of those that are spoken here.
//!
//! It is about TLS 1.2 alone; those of version 1.3 are always offered.

use rustls::CipherSuite;

/// A cipher suite, and by which words a list can mean it.
struct Suite {
    suite: CipherSuite,
    words: &'static [&'static str],
}

/// Words that mean all that there are here.
const EVERY: [&str; 14] = [
    "ALL",
    "DEFAULT",
    "COMPLEMENTOFALL",
    "HIGH",
    "TLSv1.2",
    "FIPS",
    "AEAD",
    "ECDH",
    "ECDHE",
    "EECDH",
    "kECDHE",
    "kEECDH",
    "SUITEB192",
    "SUITEB128",
];

/// The best first.
const SUITES: [Suite; 6] = [
    Suite {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        words: &["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDSA", "aECDSA", "AES", "AES256", "AESGCM", "SHA384"],
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        words: &["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA", "aECDSA", "AES", "AES128", "AESGCM", "SHA256"],
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        words: &["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDSA", "aECDSA", "CHACHA20", "SHA256"],
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        words: &["ECDHE-RSA-AES256-GCM-SHA384", "aRSA", "AES", "AES256", "AESGCM", "SHA384"],
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        words: &["ECDHE-RSA-AES128-GCM-SHA256", "aRSA", "AES", "AES128", "AESGCM", "SHA256"],
    },
    Suite {
        suite: CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        words: &["ECDHE-RSA-CHACHA20-POLY1305", "aRSA", "CHACHA20", "SHA256"],
    },
];

/// What a list means. `RSA` stands in it for another way to agree on a key, which is not spoken here.
pub(super) fn meant(list: &str) -> Vec<CipherSuite> {
    let mut wanted: Vec<CipherSuite> = Vec::new();
    let mut barred = Vec::new();
    for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty() && !word.starts_with('@')) {
        let (sign, word) = match word.split_at_checked(1) {
            Some((sign @ ("!" | "-" | "+"), word)) => (sign, word),
            _ => ("", word),
        };
        let fits = |suite: &Suite| word.split('+').all(|word| EVERY.contains(&word) || suite.words.contains(&word));
        let found: Vec<_> = SUITES.iter().filter(|suite| fits(suite)).map(|suite| suite.suite).collect();
        match sign {
            "!" => barred.extend(found),
            "-" => wanted.retain(|suite| !found.contains(suite)),
            // It changes the order alone, which the library decides.
            "+" => {}
            _ => {
                wanted.retain(|suite| !found.contains(suite));
                wanted.extend(found);
            }
        }
    }
    wanted.retain(|suite| !barred.contains(suite));
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let meant = meant(list);
        SUITES.iter().filter(|suite| meant.contains(&suite.suite)).map(|suite| suite.words[0]).collect()
    }

    #[test]
    fn lists_of_examples_are_understood() {
        let old = "ECDH+AESGCM:DH+AESGCM:ECDH+AES256:DH+AES256:ECDH+AES128:DH+AES:ECDH+3DES:DH+3DES:RSA+AES:RSA+3DES:!ADH:!AECDH:!MD5:!DSS";
        let gcm = [
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES128-GCM-SHA256",
        ];
        assert_eq!(names(old), gcm);
        let one = "ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:RSA+AES";
        assert_eq!(names(one), ["ECDHE-RSA-AES128-GCM-SHA256"]);
        assert_eq!(
            names("HIGH:!CHACHA20:!aECDSA:@STRENGTH"),
            ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]
        );
        assert_eq!(names("!CHACHA20:CHACHA20"), [""; 0]);
        assert_eq!(names("ALL").len(), 6);
        assert_eq!(names("ALL:-AES:+CHACHA20").len(), 2);
        assert_eq!(names("AES128-SHA:!"), [""; 0]);
    }
}
