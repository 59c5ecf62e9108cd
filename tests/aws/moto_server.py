"""Moto as a server, with EMR Serverless as Terraform's provider expects it.

- A new application is CREATED, as on AWS; moto's own is STARTED at once, and then the provider never stops waiting.
"""

import sys

from moto.emrserverless import models
from moto.server import main

models.APPLICATION_STATUS = "CREATED"
main(sys.argv[1:])
