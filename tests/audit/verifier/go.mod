module remediator.io/verifier

go 1.26
