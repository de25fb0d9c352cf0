module observedapp.dev/tools/cloudnative-pg

go 1.26

// Only its CRDs are read (config/crd/bases); nothing of it is built.
require github.com/cloudnative-pg/cloudnative-pg v1.27.0
