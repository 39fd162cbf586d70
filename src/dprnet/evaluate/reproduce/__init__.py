"""The paper's figures and tables, each from one command: ``dprnet reproduce``."""
