"""The REST API: end points, who may use them, and how an application is made of them. Needs the extra ``serve``."""
