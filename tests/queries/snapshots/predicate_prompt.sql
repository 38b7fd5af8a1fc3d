-- prompt:refund-policy prompt:a*b prompt:*
-- over traces
--   p0 = 'refund-policy'
--   p1 = 'refund-policy@%'
--   p2 = 'a%b'
--   p3 = 'a%b@%'
((arrayExists(x -> (x = {p0:String}), prompts) OR arrayExists(x -> (x LIKE {p1:String}), prompts)) AND (arrayExists(x -> (x LIKE {p2:String}), prompts) OR arrayExists(x -> (x LIKE {p3:String}), prompts)) AND notEmpty(prompts))

-- prompt:refund-policy prompt:a*b prompt:*
-- over spans
--   p0 = 'refund-policy'
--   p1 = 'refund-policy'
--   p2 = 'a%b'
--   p3 = 'a%b'
(((prompt_name = {p0:String}) OR prompt_version != '' AND (concat(prompt_name, '@', prompt_version) = {p1:String})) AND ((prompt_name LIKE {p2:String}) OR prompt_version != '' AND (concat(prompt_name, '@', prompt_version) LIKE {p3:String})) AND ((prompt_name != '') OR prompt_version != '' AND (concat(prompt_name, '@', prompt_version) != '')))
