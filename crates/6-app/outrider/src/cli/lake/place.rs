//! Where the lake is: a folder, or a bucket with the key from the environment.

use std::path::{Path, PathBuf};

use clap::Args;
use outrider_lake::{Lake, LakeConfig, S3Config, Secret};
use tokio::runtime::Runtime;

use crate::cli::Failure;

/// Folders that `serve` and `demo` use where nobody says.
const FOLDERS: [&str; 2] = ["outrider-data", "demo-data"];

/// Where the lake is. Keys for a bucket come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
/// AWS_SESSION_TOKEN.
#[derive(Debug, Clone, Args)]
pub(crate) struct LakeAt {
    /// Keep the lake in an S3-compatible bucket instead of the folder: s3://BUCKET/PATH.
    #[arg(long, value_name = "URL")]
    lake_url: Option<String>,
    /// Address of the S3-compatible service; without it Amazon's.
    #[arg(long, value_name = "URL", requires = "lake_url")]
    s3_endpoint: Option<String>,
    /// Region of the bucket.
    #[arg(long, value_name = "NAME", requires = "lake_url")]
    s3_region: Option<String>,
}

/// An installation's lake.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Folder of the installation [default: outrider-data, or demo-data if only the demo has run here].
    #[arg(long)]
    folder: Option<PathBuf>,
    #[command(flatten)]
    at: LakeAt,
}

#[expect(clippy::disallowed_methods, reason = "the composition root reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl LakeAt {
    /// Returns the same options for another process.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let given = [
            ("--lake-url", &self.lake_url),
            ("--s3-endpoint", &self.s3_endpoint),
            ("--s3-region", &self.s3_region),
        ];
        let pairs = given.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value.clone()?]));
        pairs.flatten().collect()
    }

    /// Returns the lake of an installation.
    ///
    /// # Errors
    /// Half a key in the environment.
    pub(crate) fn config(&self, folder: &Path) -> Result<LakeConfig, Failure> {
        let Some(url) = &self.lake_url else {
            return Ok(LakeConfig::new(folder.join("lake").to_string_lossy()));
        };
        let key = match (environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => Some((id, Secret::new(secret))),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(Failure::input(
                    "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is in the environment",
                ));
            }
        };
        let s3 = S3Config {
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            key,
            token: environment("AWS_SESSION_TOKEN").map(Secret::new),
        };
        Ok(LakeConfig { s3, ..LakeConfig::new(url) })
    }
}

impl Place {
    fn config(&self) -> Result<LakeConfig, Failure> {
        let folder = self.folder.clone().unwrap_or_else(|| {
            let here = FOLDERS.map(PathBuf::from);
            here.iter().find(|folder| folder.is_dir()).unwrap_or(&here[0]).clone()
        });
        self.at.config(&folder)
    }

    /// Opens the lake for reading.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) fn read(&self, runtime: &Runtime) -> Result<Lake, Failure> {
        let config = self.config()?;
        Lake::open_read_only(&config, runtime.handle().clone())
            .map_err(|error| Failure::input(format!("{}: {error}", config.shown())))
    }

    /// Opens a lake that is there for writing: a wrong folder must not become a new lake.
    ///
    /// # Errors
    /// There is none, or it cannot be written.
    pub(crate) fn write(&self, runtime: &Runtime) -> Result<Lake, Failure> {
        drop(self.read(runtime)?);
        let config = self.config()?;
        Lake::open(&config, runtime.handle().clone())
            .map_err(|error| Failure::input(format!("{}: {error}", config.shown())))
    }
}
