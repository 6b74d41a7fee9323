module bcp/pause

go 1.26.0
