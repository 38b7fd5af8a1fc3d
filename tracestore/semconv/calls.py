"""Calls of models: who makes, sells and serves one, and what the numbers of a call include."""

from __future__ import annotations

from tracestore.semconv.sources import plain, told

# Framework names that some instrumentations put where the provider belongs: the price list is asked by model alone then.
FRAMEWORKS = (
    "strands-agents", "gcp.vertex.agent", "litellm", "langchain", "crewai", "langgraph", "agno", "smolagents", "haystack",
    "llama_index", "llamaindex", "autogen", "microsoft.agent_framework", "dspy", "openai_agents", "pydantic_ai", "vercel",
    "spring_ai",
)  # fmt: skip
PROVIDERS = {
    "vertex_ai": "gcp.vertex_ai", "vertexai": "gcp.vertex_ai", "gemini": "gcp.gemini", "google": "gcp.gen_ai",
    "az.ai.openai": "azure.ai.openai", "azure": "azure.ai.openai", "azureopenai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference", "xai": "x_ai", "mistralai": "mistral_ai", "amazon_bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock", "aws": "aws.bedrock", "bedrock": "aws.bedrock", "moonshot": "moonshot_ai",
    "mistral": "mistral_ai", "googleai": "gcp.gen_ai", "google_genai": "gcp.gen_ai", "google_vertexai": "gcp.vertex_ai",
    "azure_openai": "azure.ai.openai", "azure_ai": "azure.ai.inference", "bedrock_converse": "aws.bedrock",
    "azure-openai": "azure.ai.openai", "azure_open_ai": "azure.ai.openai", "azure openai": "azure.ai.openai",
    "az.ai.agents": "azure.ai.inference", "aws bedrock": "aws.bedrock", "open_ai": "openai", "x-ai": "x_ai",
    "google-gla": "gcp.gemini", "google_ai_gemini": "gcp.gemini", "google-vertex": "gcp.vertex_ai",
    "openai.chat": "openai", "openai.responses": "openai", "anthropic.messages": "anthropic",
    "google.generative-ai": "gcp.gen_ai", "moonshotai": "moonshot_ai", "watsonx": "ibm.watsonx.ai",
    "api.openai.com": "openai", "api.anthropic.com": "anthropic", "generativelanguage.googleapis.com": "gcp.gemini",
    "api.mistral.ai": "mistral_ai", "api.groq.com": "groq", "api.deepseek.com": "deepseek", "api.x.ai": "x_ai",
    "api.cohere.com": "cohere", "openrouter.ai": "openrouter", "togetherai": "together",
}  # fmt: skip
# Who makes a model, by how its name starts: the provider of a call that names none.
MAKERS = {
    "gpt-": "openai", "chatgpt-": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "text-embedding-": "openai",
    "claude-": "anthropic", "gemini-": "gcp.gemini", "mistral-": "mistral_ai", "grok-": "x_ai", "deepseek-": "deepseek",
    "command-": "cohere",
    # Bedrock's ids of models and of inference profiles.
    **dict.fromkeys(("anthropic.", "amazon.", "meta.", "us.", "eu.", "apac.", "global."), "aws.bedrock"),
}  # fmt: skip
# A router's word before the model's own name: openai/gpt-4o, bedrock/converse/us.anthropic.claude-..., .../models/gemini-2.5-pro.
MODEL_PREFIX = (
    r"^(?:(openai|anthropic|azure|azure_ai|bedrock|gemini|google|googleai|google_genai|vertex_ai|vertexai|groq|mistral|cohere|cohere_chat"
    r"|deepseek|xai|x-ai|ollama|ollama_chat|openrouter|litellm_proxy|moonshot|perplexity|together_ai|fireworks_ai|watsonx)[/:](?:converse/)?|(?:\S*/)?models/)"
)
# Routers' words for who sells a model whoever made it: they say more than a provider that an instrumentation takes from the
# client library or from the model's maker. So do the ids of Bedrock's models, which Anthropic's own client asks for, too.
SELLERS = ("groq", "openrouter", "together_ai", "fireworks_ai")
BEDROCK_ID = r"^((us|eu|apac|global)\.)?(anthropic|amazon|meta)\."

# Does an instrumentation's input count leave out cached tokens (docs/outcome.md)? By scope; some only for Anthropic's models.
EXCLUSIVE_SCOPES = (
    r"^(opentelemetry\.instrumentation\.(bedrock|botocore\.bedrock-runtime)|@arizeai/openinference-instrumentation-bedrock"
    r"|openlit\.instrumentation\.(anthropic|bedrock)|com\.anthropic\.claude_code|@traceloop/instrumentation-anthropic)"
)
EXCLUSIVE_FOR_ANTHROPIC = r"^(strands|agent_framework)"
INCLUSIVE_SCOPES = (
    r"^(opentelemetry\.(instrumentation\.anthropic|util\.genai)|openinference\.instrumentation\.(anthropic|openai)"
    r"|pydantic-ai|logfire|com\.anthropic\.sdk|gcp\.vertex\.agent|gen_ai$)"
)
ANTHROPIC = "anthropic|claude|bedrock"
GEMINI = r"^(.*/)?gemini-"
# Tells Gemini's thoughts beside an output and a total that leave them out.
ADDITIVE_REASONING_SCOPE = "openlit.instrumentation.google_ai_studio"
# A call that failed has its name and no attribute (OpenLIT); the names are those of OpenTelemetry's GenAI conventions.
BARE_CALL_SCOPE = "openlit.instrumentation."
BARE_CALL_NAME = r"^(?:chat|text_completion|generate_content) (\S+)$"
# Says the model that answered also where the requested one belongs (Responses API).
ECHOING_SCOPE = "opentelemetry.instrumentation.openai_agents"
# Names that hand on the provider's own numbers; beside a name of the conventions they say nothing.
RAW_CACHE_NAMES = (
    *plain("gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.cache_creation_input_tokens", "ai.usage.cachedInputTokens"),
    *plain("gen_ai.usage.cache_write_input_tokens", "ai.response.providerMetadata"),
    *told("cache_read_input_tokens", "cache_creation_input_tokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
)
AGREED_CACHE_NAMES = plain(
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
    "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_write",
    "ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.inputTokenDetails.cacheWriteTokens",
    "gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_write_tokens",
)  # fmt: skip

# A span of a model call stands for a loop of calls and tells the tokens of the last; the agent around it tells those of all.
LOOP_SCOPE = "@voltagent/core"
# Operations whose spans repeat the usage of a call that has a span of its own: background responses fetched later, agent loops.
REPEATED_USAGE = ("fetch_response", "agent_step")
