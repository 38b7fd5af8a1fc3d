SELECT 1 FROM trace_index WHERE project_id = {project_id:UInt32} LIMIT 1
