module observedapp.dev/tools/pause

go 1.26
