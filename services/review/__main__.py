"""Owns nothing: `python -m services.review` runs the service, `migrate` its migrations."""

from services.review.app import service
from shared.service import main

if __name__ == "__main__":
    main(service)
