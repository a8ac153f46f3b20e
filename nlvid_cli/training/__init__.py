"""Training: fine-tune a model on labelled videos.

From a data set to a trained file, in the order of the data::

    api.train, commands/train        what the user asks for
      plan                             -> Base, Recipe, Split, Machine in one TrainingPlan
      cross_validation                 one run per split
        run.train_split                one run
          accelerator                    device, precision, processes
          model                          Base -> network to train (Trainee) with its card
          folder                         recipe.json: may this run use the folder?
          frame_cache                    small data sets, decoded once
          loop.Loop                      steps
            loader                         batches from worker processes
              division                       which clip is next
              clips, augment                 video -> frames -> clip
            global_batch, optimization     network, loss, SGD
            figures                        validation
            folder, records                state.pt, model.safetensors, metrics.jsonl
          <- TrainingResult              the model file, evaluated once more, with its accuracy in its card

``observer`` is what a run reports to, ``recipe`` how a network is trained, and ``launch`` starts one process per GPU.
"""
