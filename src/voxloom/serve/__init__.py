"""What brings a run to people: a service with jobs, a REST API, a page, and a DICOM node. Needs the extra ``serve``."""
