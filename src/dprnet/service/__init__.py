"""The HTTP service and its page (`dprnet serve`).

    config       what it may do            server, app   how it starts
    guard, hasty who may ask, how much     problems      errors in one shape
    jobs, schema the lease table           api_*         routes under /v1, shapes their answers
    worker       a process that searches   pages         what people see
    live         garments as they appear   results       a finished job on disk
    shelves      the galleries             searching     one image

Nothing is imported here: the verb, the server and the workers each need a part.
"""
