//! The embedded S3: a folder of buckets, and the guard in front of its keys.
//!
//! The store keeps an object under its key as a path, so a key with a `..` segment would reach into another bucket.
//! The guard refuses such keys in every operation that names one. For the same reason `a` and `a/b` cannot both be
//! keys of one bucket. What the store lacks of S3 (tags, versions,
//! lifecycle, conditional GET) is not made up for, except that browsers may call it from any origin, and that what is refused
//! because of its SHA-256 is not kept (s3s-fs 0.14 writes first and looks then).

use super::endpoint::{Dropped, Handler, answer};
use super::faults::{Faults, Service};
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::dto::{CopyObjectInput, CopySource, DeleteObjectsInput, UploadPartCopyInput};
use s3s::path::S3Path;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Request, S3Result, s3_error};
use std::path::Path;
use std::sync::Arc;

/// The one pair of credentials of a home, which every function gets.
pub(crate) const ACCESS_KEY: &str = "tessera";
/// See [`ACCESS_KEY`]; nothing outside this machine takes it.
pub(crate) const SECRET_KEY: &str = "tessera-on-this-machine";

/// The objects of a home.
#[derive(Clone)]
pub(crate) struct Objects {
    service: S3Service,
    faults: Arc<Faults>,
}

impl Objects {
    /// Opens the folder and makes the buckets.
    pub(crate) fn open(
        folder: &Path,
        buckets: &[String],
        faults: &Arc<Faults>,
    ) -> Result<Self, crate::HomeError> {
        use crate::HomeError;
        for bucket in buckets {
            let path = folder.join(bucket);
            std::fs::create_dir_all(&path).map_err(HomeError::io(format!("bucket {}", path.display())))?;
        }
        std::fs::create_dir_all(folder).map_err(HomeError::io(folder.display().to_string()))?;
        let files = s3s_fs::FileSystem::new(folder).map_err(|error| HomeError::Store {
            what: format!("the object store {}", folder.display()),
            why: format!("{error:?}"),
        })?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_access(Guard);
        Ok(Self { service: builder.build(), faults: faults.clone() })
    }
}

impl Handler for Objects {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let origin = request.headers().contains_key(header::ORIGIN);
        if request.method() == Method::OPTIONS && origin {
            let mut response = Response::new(Body::empty());
            let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS);
            let asked = asked.cloned().unwrap_or(HeaderValue::from_static("*"));
            allow(&mut response);
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
            let methods = HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            return Ok(response);
        }
        let operation = operation(&request);
        let verdict = self.faults.begin(Service::S3, operation, || {
            request.uri().path().split('/').nth(1).map(str::to_owned).into_iter().collect()
        });
        if let Some(instead) = verdict.instead(Service::S3) {
            return instead.ok_or(Dropped);
        }
        let request = match whole(request.map(s3s::Body::from)).await {
            Ok(request) => request,
            Err(refused) => return Ok(*refused),
        };
        let answered = self.service.call(request).await;
        if self.faults.end(&verdict) {
            return Err(Dropped);
        }
        let mut response = match answered {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                tracing::error!(operation, ?error, "the object store failed");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        };
        if origin {
            allow(&mut response);
        }
        Ok(response)
    }
}

/// The request, if its body is what it says to be.
async fn whole(request: Request<s3s::Body>) -> Result<Request<s3s::Body>, Box<Response<Body>>> {
    let Some(said) = request.headers().get("x-amz-checksum-sha256").cloned() else { return Ok(request) };
    let (parts, body) = request.into_parts();
    let bytes = match body.collect().await {
        Ok(bytes) => bytes.to_bytes(),
        Err(error) => return Err(Box::new(refusal("IncompleteBody", &error.to_string()))),
    };
    if STANDARD.encode(digest(&SHA256, &bytes)) != said {
        return Err(Box::new(refusal("BadDigest", "The SHA-256 of the body is another one.")));
    }
    Ok(Request::from_parts(parts, s3s::Body::from(bytes)))
}

fn refusal(code: &str, message: &str) -> Response<Body> {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    answer(StatusCode::BAD_REQUEST, "application/xml", body)
}

fn allow(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag"));
}

/// The operation's name in the API, as far as method and path tell it.
fn operation<B>(request: &Request<B>) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let path = request.uri().path().trim_start_matches('/');
    let object = path.split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let copies = request.headers().contains_key("x-amz-copy-source");
    match (request.method().as_str(), object) {
        ("GET", true) if asks("uploadId") => "ListParts",
        ("GET", true) => "GetObject",
        ("HEAD", true) => "HeadObject",
        ("DELETE", true) if asks("uploadId") => "AbortMultipartUpload",
        ("DELETE", true) => "DeleteObject",
        ("POST", true) if asks("uploads") => "CreateMultipartUpload",
        ("POST", true) => "CompleteMultipartUpload",
        ("PUT", true) if asks("partNumber") && copies => "UploadPartCopy",
        ("PUT", true) if asks("partNumber") => "UploadPart",
        ("PUT", true) if copies => "CopyObject",
        ("PUT", true) => "PutObject",
        ("GET", false) if path.is_empty() => "ListBuckets",
        ("GET", false) => "ListObjectsV2",
        ("HEAD", false) => "HeadBucket",
        ("PUT", false) => "CreateBucket",
        ("DELETE", false) => "DeleteBucket",
        ("POST", false) if asks("delete") => "DeleteObjects",
        ("POST", false) => "PostObject",
        _ => "Unknown",
    }
}

/// Refuses keys that would leave their bucket, and callers without credentials.
struct Guard;

fn check_key(key: &str) -> S3Result<()> {
    if key.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(s3_error!(InvalidArgument, "A key cannot have a segment of dots here."));
    }
    Ok(())
}

fn check_source(source: &CopySource) -> S3Result<()> {
    match source {
        CopySource::Bucket { bucket, key, .. } => {
            check_key(bucket)?;
            check_key(key)
        }
        _ => Err(s3_error!(NotImplemented, "Copies come from a bucket here.")),
    }
}

#[async_trait::async_trait]
impl S3Access for Guard {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if let S3Path::Object { bucket, key } = cx.s3_path() {
            check_key(bucket)?;
            check_key(key)?;
        }
        match cx.credentials() {
            Some(_) => Ok(()),
            None => Err(s3_error!(AccessDenied, "Signature is required")),
        }
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        check_source(&request.input.copy_source)
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        check_source(&request.input.copy_source)
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        request.input.delete.objects.iter().try_for_each(|object| check_key(&object.key))
    }
}
