//! hongbao
