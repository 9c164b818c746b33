//! Where the crate looks for credentials and transcripts: `config_dir`, `xdg_config_home` and
//! `home` of a command. What it does not name is not set.

use std::path::PathBuf;

use linesmith_core::data_context::credentials::FileCascadeEnv;

use crate::request::{Failure, Request};

pub struct Places {
    config_dir: Option<PathBuf>,
    xdg_config_home: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Places {
    pub fn of(request: &Request) -> Result<Self, Failure> {
        Ok(Self {
            config_dir: request.optional_path("config_dir")?,
            xdg_config_home: request.optional_path("xdg_config_home")?,
            home: request.optional_path("home")?,
        })
    }

    pub fn for_credentials(&self) -> FileCascadeEnv {
        FileCascadeEnv::new(
            self.config_dir.clone().map(PathBuf::into_os_string),
            self.xdg_config_home.clone().map(PathBuf::into_os_string),
            self.home.clone().map(PathBuf::into_os_string),
        )
    }

    /// The aggregator asks the environment. There is one thread.
    pub fn enter(&self) {
        for (name, value) in [
            ("CLAUDE_CONFIG_DIR", &self.config_dir),
            ("XDG_CONFIG_HOME", &self.xdg_config_home),
            ("HOME", &self.home),
        ] {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
}
