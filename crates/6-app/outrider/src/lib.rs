//! The cloud binary: command line, configuration and roles.
