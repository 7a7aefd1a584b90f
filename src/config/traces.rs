//! Where spans go, and what the environment says of that in the words of OpenTelemetry.

use super::RuntimeConfig;
use crate::router::Sampling;
use std::time::Duration;

/// What OTLP over HTTP adds to the address of a collector.
const PATH: &str = "/v1/traces";

/// What spans are said to come from if nothing else is said.
pub const SERVICE_NAME: &str = "corebar";

/// True for the address of a collector.
#[must_use]
pub fn is_endpoint(text: &str) -> bool {
    let host = |rest: &str| rest.split('/').next().is_some_and(|host| !host.is_empty() && !host.contains('@'));
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(host) && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'#')
}

/// Where spans are posted: the endpoint, with the path of OTLP if it has none of its own.
#[must_use]
pub fn url(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("http", endpoint));
    match rest.split_once('/') {
        Some((_, path)) if !path.is_empty() => endpoint.into(),
        Some((host, _)) => format!("{scheme}://{host}{PATH}"),
        None => format!("{endpoint}{PATH}"),
    }
}

impl RuntimeConfig {
    /// Which calls and publications get a span; none: there is nobody to send them to.
    #[must_use]
    pub fn sampling(&self) -> Option<Sampling> {
        self.traces_endpoint.is_some().then_some(Sampling {
            share: self.traces_sample,
            spans_per_second_max: self.traces_spans_per_second_max,
            kwargs_bytes_max: self.traces_kwargs_bytes_max,
        })
    }

    /// Takes over what the environment says of traces in the words of OpenTelemetry, for what nothing else is said of.
    /// Gives what cannot be heeded, a line each.
    pub fn heed_environment(&mut self, variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
        let variable = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut ignored = Vec::new();
        if variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
            return ignored;
        }
        let mut ignore = |name: &str, text: &str, why: &str| ignored.push(format!("{name}: is {text:?}, {why}"));
        let either = |own: &'static str, common: &'static str| {
            variable(own).map(|text| (own, text)).or_else(|| variable(common).map(|text| (common, text)))
        };
        let protocol = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
        let (own, common) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
        if let Some((name, endpoint)) = either(own, common) {
            match protocol {
                Some((name, protocol)) if !protocol.starts_with("http/") => {
                    ignore(name, &protocol, "and only http/protobuf is spoken: no traces are sent");
                }
                _ if !is_endpoint(&endpoint) => {
                    ignore(name, &endpoint, "no address of http or https: no traces are sent");
                }
                // The path of OTLP comes behind whatever the common address has.
                _ if name == common => {
                    self.traces_endpoint = Some(format!("{}{PATH}", endpoint.trim_end_matches('/')));
                }
                _ => self.traces_endpoint = Some(endpoint),
            }
        }
        if let Some(name) = variable("OTEL_SERVICE_NAME") {
            self.traces_service_name = Some(name);
        }
        if let Some((name, text)) = either("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS") {
            let pair = |pair: &str| pair.split_once('=').map(|(key, value)| (key.trim().into(), value.trim().into()));
            match text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect() {
                Some(headers) => self.traces_headers = headers,
                None => ignore(name, "(hidden)", "which is no list of NAME=VALUE with commas between them"),
            }
        }
        if let Some((name, text)) = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT") {
            match text.parse().ok().filter(|millis| (10..=86_400_000).contains(millis)) {
                Some(millis) => self.traces_timeout = Duration::from_millis(millis),
                None => ignore(name, &text, "no number of milliseconds"),
            }
        }
        let argument = variable("OTEL_TRACES_SAMPLER_ARG");
        match variable("OTEL_TRACES_SAMPLER").as_deref().map(|sampler| sampler.trim_start_matches("parentbased_")) {
            Some("always_on") => self.traces_sample = 1.0,
            Some("always_off") => self.traces_sample = 0.0,
            None | Some("traceidratio") => {
                if let Some(text) = argument {
                    match text.parse().ok().filter(|share| (0.0..=1.0).contains(share)) {
                        Some(share) => self.traces_sample = share,
                        None => ignore("OTEL_TRACES_SAMPLER_ARG", &text, "no number from 0 to 1"),
                    }
                }
            }
            Some(other) => ignore("OTEL_TRACES_SAMPLER", other, "a sampler that is not known here"),
        }
        ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_to_the_path_of_otlp() {
        for (endpoint, posted) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
            ("https://a.example/otlp/x", "https://a.example/otlp/x"),
        ] {
            assert!(is_endpoint(endpoint));
            assert_eq!(url(endpoint), posted);
        }
        for bad in
            ["", "127.0.0.1:4318", "grpc://a", "http://", "http:///v1", "http://a b", "http://u:p@a", "http://a/#"]
        {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }

    fn heed(variables: &[(&str, &str)]) -> (RuntimeConfig, Vec<String>) {
        let mut config = RuntimeConfig::default();
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        let ignored = config.heed_environment(find);
        (config, ignored)
    }

    #[test]
    fn the_words_of_opentelemetry_are_understood() {
        let common = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
        let (config, ignored) = heed(&[
            common,
            ("OTEL_SERVICE_NAME", "front"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b, key = c=d "),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        assert_eq!(ignored, [""; 0]);
        assert_eq!(config.traces_endpoint.as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(config.traces_service_name.as_deref(), Some("front"));
        let headers: Vec<_> = config.traces_headers.iter().map(|(key, value)| (&**key, &**value)).collect();
        assert_eq!(headers, [("a", "b"), ("key", "c=d")]);
        assert_eq!((config.traces_timeout, config.traces_sample), (Duration::from_millis(2500), 0.25));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other/x");
        assert_eq!(heed(&[common, own]).0.traces_endpoint.as_deref(), Some("http://other/x"));
        for (sampler, share) in [("always_on", 1.0), ("parentbased_always_off", 0.0)] {
            assert_eq!(heed(&[("OTEL_TRACES_SAMPLER", sampler)]).0.traces_sample, share);
        }
        assert_eq!(heed(&[common, ("OTEL_SDK_DISABLED", "true")]).0.traces_endpoint, None);
        assert_eq!(heed(&[]).0.traces_endpoint, None);
    }

    #[test]
    fn what_cannot_be_heeded_is_told() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        for (variables, told) in [
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")][..], "OTEL_EXPORTER_OTLP_PROTOCOL: is \"grpc\", and"),
            (
                &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")],
                "OTEL_EXPORTER_OTLP_ENDPOINT: is \"collector:4317\", no",
            ),
            (&[("OTEL_EXPORTER_OTLP_HEADERS", "secret")], "OTEL_EXPORTER_OTLP_HEADERS: is \"(hidden)\""),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "1s")], "no number of milliseconds"),
            (&[("OTEL_TRACES_SAMPLER_ARG", "2")], "no number from 0 to 1"),
            (&[("OTEL_TRACES_SAMPLER", "jaeger_remote"), ("OTEL_TRACES_SAMPLER_ARG", "x")], "a sampler that is not"),
        ] {
            let (config, ignored) = heed(variables);
            assert_eq!(config.traces_endpoint, None);
            assert!(matches!(&*ignored, [line] if line.contains(told)), "{ignored:?}");
        }
    }
}
