"""The Python half of the lab's widgets: observe and steer a `Session`.

session.py and what it imports, runs.py, choosing.py and publisher.py are plain Python; only base.py and what
imports it know ipywidgets and anywidget. There is no mathematics here: a fit is any callable from a model
to an iterator of steps, or a `Recipe` (fits.py) that makes one out of settings.
"""
