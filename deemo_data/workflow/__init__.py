"""One file per step of the line: (project, options) in, (done, problems) out."""
