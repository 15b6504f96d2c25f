"""Reports: answers of the API, ordered and worded; no figure is calculated anew.

`document` has the types of a report and its digest, `replies` the answers it is made of and the
figures in them, `contents` what stands in a report of each kind, `period` the time it is about.
`charts` draws; `html`, `xlsx`, `docx` and `pdf` write the files, with the texts of `wording`.
`compare` tells two reports of the same time apart. `routes` answers over HTTP, `__main__` is
`parktwin report`. Start with `contents`. May import what the subjects may, and `api.app` in
`__main__`.
"""
