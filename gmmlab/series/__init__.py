"""The series of notebooks: what is in it, what a notebook's parameters are, how one is run and shown.

    catalogue    which notebooks there are, and what their metadata says
    parameters   what a notebook declares, and whether given values fit
    runner       one headless run, from checked parameters to a finished file
    report       an executed notebook as one self-contained page
    lab          JupyterLab on the series

Nothing here imports torch, so that `gmmlab list` answers at once.
"""
