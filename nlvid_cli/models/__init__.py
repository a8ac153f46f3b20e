"""From a model's name to its card and its file.

:mod:`~nlvid_cli.models.find` is the door for all other rooms. The walk of a name, file by file:

::

    find.py             find_model("i3d"): what is it named by?
      naming.py           a name, a local file, hf://..., https://...
      card/manifest.py    the card of that name
      store/cache.py      the ready file, if it is on this machine (the walk ends here)
      store/fetch.py      else, under the model's lock (lock.py): fetch it, convert it, keep it
        sources/            url.py, hub.py, index.py or bundled.py: bytes from outside
          download.py         a resumable download
          checksums.py        the published checksums
          archive.py          one member of a release
        convert.py          another program's checkpoint -> nlvid's safetensors file
          formats/            a file per program
    find.py             (card, path)

A local file and an address take the same walk; their card is in the file, or ``adopt.py`` makes it from ``--as``.
Downwards, each step hands over a card; upwards, a path. ``publish.py`` is the way back to the Hub.
``imagenet.py`` makes bases of training from networks for images, which ``inflate.py`` spreads over time.
"""
