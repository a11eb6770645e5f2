//! Which servers are asked: those a filter leaves silent do not answer.

use super::body::{Body, BodyFault};

/// What a request says of the servers that may answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// A part of the name.
    pub name: String,
    /// A part of the cluster's name.
    pub cluster: String,
    /// A part of the host.
    pub host: String,
    /// The parts must be the whole.
    pub is_exact: bool,
    /// All of these.
    pub tags: Vec<String>,
    /// The domain of its streams.
    pub domain: String,
}

/// What a filter looks at.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Candidate<'a> {
    pub name: &'a str,
    pub cluster: &'a str,
    pub host: &'a str,
    pub tags: &'a [String],
    pub domain: &'a str,
}

impl ServerFilter {
    /// Reads it from a request.
    ///
    /// # Errors
    /// If a field has the wrong type.
    pub fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self {
            name: body.text("server_name")?,
            cluster: body.text("cluster")?,
            host: body.text("host")?,
            is_exact: body.flag("exact_match")?,
            tags: body.texts("tags")?,
            domain: body.text("domain")?,
        })
    }

    /// Whether this server may answer.
    pub fn admits(&self, server: &Candidate<'_>) -> bool {
        let fits = |wanted: &str, is: &str| {
            wanted.is_empty() || if self.is_exact { is == wanted } else { is.contains(wanted) }
        };
        fits(&self.name, server.name)
            && fits(&self.cluster, server.cluster)
            && fits(&self.host, server.host)
            && self.tags.iter().all(|tag| server.tags.contains(&tag.to_lowercase()))
            && (self.domain.is_empty() || self.domain == server.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_enough_unless_the_whole_is_wanted() {
        let tags = ["region:eu".to_owned()];
        let one = Candidate { name: "one", cluster: "c1", host: "0.0.0.0", tags: &tags, domain: "" };
        let admits = |json: &str| {
            let body = Body::parse(json.as_bytes(), "X").unwrap();
            ServerFilter::read(&body).unwrap().admits(&one)
        };
        assert!(admits("{}") && admits(r#"{"server_name":"on"}"#) && admits(r#"{"tags":["region:eu"]}"#));
        assert!(admits(r#"{"server_name":"one","exact_match":true,"cluster":"c1"}"#));
        assert!(!admits(r#"{"server_name":"on","exact_match":true}"#));
        assert!(!admits(r#"{"tags":["region:eu","ssd"]}"#) && !admits(r#"{"domain":"x"}"#));
        assert!(!admits(r#"{"host":"10."}"#));
    }
}
