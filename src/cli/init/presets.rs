//! Providers: what a configuration needs to say for each. Addresses and quirks are the providers' own, and change: what is
//! written here is a beginning, which the user is told to check.

use clap::ValueEnum;

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Provider {
    /// OpenAI.
    #[value(name = "openai")]
    OpenAi,
    /// Azure OpenAI; needs --base-url and --model.
    Azure,
    /// OpenRouter.
    #[value(name = "openrouter")]
    OpenRouter,
    /// Anthropic, by its OpenAI-compatible endpoint.
    Anthropic,
    /// Google's Gemini, by its OpenAI-compatible endpoint.
    Gemini,
    /// A vLLM server.
    Vllm,
    /// A llama.cpp server.
    #[value(name = "llama.cpp")]
    LlamaCpp,
    /// An Ollama server.
    Ollama,
    /// A LiteLLM proxy.
    #[value(name = "litellm")]
    LiteLlm,
    /// A file of answers; needs --recording.
    Recorded,
}

/// What a provider's teacher begins as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preset {
    /// Where it is; `None` where only the user knows that.
    pub(super) base_url: Option<&'static str>,
    /// An example of it, where it has to be asked for.
    pub(super) example: &'static str,
    /// The variable of the key; `None` for servers that mostly want none.
    pub(super) key: Option<&'static str>,
    /// The header of the key, if not the usual one.
    pub(super) header: Option<&'static str>,
    /// A model that it has, as a proposal; `None` where only the user knows that.
    pub(super) model: Option<&'static str>,
    /// What the model's name is there.
    pub(super) model_is: &'static str,
    /// Settings that differ from the defaults: key, value, why.
    pub(super) settings: &'static [(&'static str, &'static str, &'static str)],
    /// What else there is to know, a line each.
    pub(super) notes: &'static [&'static str],
}

/// What the model's name is where there is nothing to say about it.
pub(super) const MODEL: &str = "the model's name";

const REASONING: &str =
    "Models that think before they answer count their thoughts as tokens of the answer: raise max_tokens for them.";

const HOSTED: Preset = Preset {
    base_url: None,
    example: "",
    key: None,
    header: None,
    model: None,
    model_is: MODEL,
    settings: &[],
    notes: &[],
};

const LOCAL: Preset = Preset {
    settings: &[
        ("max_in_flight", "4", "requests at the same time: as many as the server answers side by side"),
        ("timeout_s", "300.0", "a machine of one's own may be slow"),
    ],
    ..HOSTED
};

impl Provider {
    /// Its name, as it is typed.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// All of them, in the order in which they are offered.
    pub(super) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// `None` for a recording, which is asked in no network.
    pub(super) fn preset(self) -> Option<Preset> {
        Some(match self {
            Self::OpenAi => Preset {
                base_url: Some("https://api.openai.com/v1"),
                key: Some("OPENAI_API_KEY"),
                model: Some("gpt-4o-mini"),
                notes: &["Answers follow a JSON schema here.", REASONING],
                ..HOSTED
            },
            Self::Azure => Preset {
                example: "https://RESOURCE.openai.azure.com/openai/v1",
                key: Some("AZURE_OPENAI_API_KEY"),
                header: Some("api-key"),
                model_is: "the name of your deployment",
                notes: &[
                    "The older API wants deployment and version in the address:",
                    "https://RESOURCE.openai.azure.com/openai/deployments/DEPLOYMENT?api-version=2024-10-21",
                    "Answers follow a JSON schema where the deployed model knows it.",
                    REASONING,
                ],
                ..HOSTED
            },
            Self::OpenRouter => Preset {
                base_url: Some("https://openrouter.ai/api/v1"),
                key: Some("OPENROUTER_API_KEY"),
                model: Some("openai/gpt-4o-mini"),
                model_is: "VENDOR/MODEL, as openrouter.ai/models lists them",
                notes: &[
                    "It says itself what each answer cost, and that is what is counted; a cap needs prices all the same.",
                    "Whether answers follow a JSON schema depends on the model; candist falls back by itself.",
                ],
                ..HOSTED
            },
            Self::Anthropic => Preset {
                base_url: Some("https://api.anthropic.com/v1"),
                key: Some("ANTHROPIC_API_KEY"),
                model: Some("claude-haiku-4-5"),
                settings: &[(
                    "output",
                    "\"text\"",
                    "response_format is ignored here; the JSON is asked for in the prompt",
                )],
                notes: &["This endpoint gives no log-probabilities, and takes temperatures up to 1."],
                ..HOSTED
            },
            Self::Gemini => Preset {
                base_url: Some("https://generativelanguage.googleapis.com/v1beta/openai"),
                key: Some("GEMINI_API_KEY"),
                model: Some("gemini-3.5-flash"),
                settings: &[("max_tokens", "2048", "its models think before they answer, and their thoughts count")],
                notes: &["Answers follow a JSON schema here."],
                ..HOSTED
            },
            Self::Vllm => Preset {
                base_url: Some("http://127.0.0.1:8000/v1"),
                model: Some("Qwen/Qwen2.5-7B-Instruct"),
                model_is: "as in `vllm serve MODEL`",
                settings: &[("max_in_flight", "64", "requests at the same time: the server batches them")],
                notes: &[
                    "Answers follow a JSON schema here.",
                    "With `vllm serve --api-key`: api_key_env = \"VLLM_API_KEY\"",
                ],
                ..LOCAL
            },
            Self::LlamaCpp => Preset {
                base_url: Some("http://127.0.0.1:8080/v1"),
                model: Some("local"),
                model_is: "any name, where `llama-server -m FILE` serves one model",
                notes: &[
                    "Answers follow a JSON schema here. max_in_flight is the server's --parallel.",
                    "With `llama-server --api-key`: api_key_env = \"LLAMA_API_KEY\"",
                ],
                ..LOCAL
            },
            Self::Ollama => Preset {
                base_url: Some("http://127.0.0.1:11434/v1"),
                model: Some("llama3.2"),
                model_is: "as `ollama list` has it",
                notes: &[
                    "A prompt that is longer than the server's context is cut without a word: `candist plan CONFIG --show 1` says",
                    "how long yours are; OLLAMA_CONTEXT_LENGTH sets the server's. max_in_flight is its OLLAMA_NUM_PARALLEL.",
                ],
                ..LOCAL
            },
            Self::LiteLlm => Preset {
                base_url: Some("http://127.0.0.1:4000/v1"),
                key: Some("LITELLM_API_KEY"),
                model: Some("gpt-4o-mini"),
                model_is: "as model_name has it in the proxy's list",
                notes: &[
                    "The key is the proxy's master key or a virtual one; without one there, remove api_key_env.",
                    "Whether answers follow a JSON schema depends on the model; candist falls back by itself.",
                ],
                ..HOSTED
            },
            Self::Recorded => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_says_where_it_is_or_asks_for_it() {
        for provider in Provider::all() {
            let Some(preset) = provider.preset() else { continue };
            assert!(preset.base_url.is_some() || !preset.example.is_empty(), "{provider:?}");
            assert!(preset.base_url.is_none_or(|url| !url.ends_with('/')), "{provider:?}");
            assert!(preset.notes.iter().all(|note| note.len() < 130), "{provider:?}");
        }
        assert_eq!(Provider::LlamaCpp.name(), "llama.cpp");
    }
}
