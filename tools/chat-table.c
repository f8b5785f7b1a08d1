// SPDX-License-Identifier: MIT
/*
 * The families of chat templates. Each follows the template that its models were published with (tokenizer_config.json,
 * or the maker's description of the format); tests/unit/chat.c holds what those templates give.
 *
 * Left out on purpose are dates, which would make answers depend on the day: Llama 3.1 keeps the date that its template
 * has as default, gpt-oss goes without the line, which its format leaves optional.
 */
#include "chat.h"

#define DS_USER		"<\xef\xbd\x9cUser\xef\xbd\x9c>"
#define DS_ASSISTANT	"<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>"

#define IM_TOKENS { "<|im_start|>", "<|im_end|>" }
#define CHATML_TURNS \
	.system = { "<|im_start|>system\n", "<|im_end|>\n" }, .user = { "<|im_start|>user\n", "<|im_end|>\n" }, \
	.assistant = { "<|im_start|>assistant\n", "<|im_end|>\n" }, .end = "<|im_end|>", .tokens = IM_TOKENS

#define H3(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define LLAMA3_TURNS \
	.begin = CHAT_BOS, .user = { H3("user"), "<|eot_id|>" }, .assistant = { H3("assistant"), "<|eot_id|>" }, \
	.prompt = H3("assistant"), .end = "<|eot_id|>", \
	.tokens = { "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>" }

#define BITNET_TURNS \
	.system = { "System: ", "<|eot_id|>" }, .user = { "User: ", "<|eot_id|>" }, \
	.assistant = { "Assistant: ", "<|eot_id|>" }, .prompt = "Assistant: ", .end = "<|eot_id|>", \
	.tokens = { "<|eot_id|>" }, .flags = CHAT_TRIM | CHAT_TRIM_ANSWER

const struct chat_template chat_templates[] = {
	{
		.name = "gpt-oss", .models = "gpt-oss",
		.marks = { "<|channel|>", "<|message|>", "<|start|>" },
		.system = { "<|start|>developer<|message|># Instructions\n\n", "\n\n<|end|>" },
		.begin = "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
			 "Knowledge cutoff: 2024-06\n\nReasoning: medium\n\n# Valid channels: analysis, commentary, final. "
			 "Channel must be included for every message.<|end|>",
		.user = { "<|start|>user<|message|>", "<|end|>" },
		.assistant = { "<|start|>assistant<|channel|>final<|message|>", "<|end|>" },
		.prompt = "<|start|>assistant", .end = "<|return|>",
		.tokens = { "<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>" },
		.flags = CHAT_HARMONY | CHAT_DROP_THOUGHTS | CHAT_LSTRIP_ANSWER,
	}, {
		.name = "phi4", .models = "Phi-4",
		.marks = { "<|im_start|>", "<|im_sep|>" },
		.system = { "<|im_start|>system<|im_sep|>", "<|im_end|>" },
		.user = { "<|im_start|>user<|im_sep|>", "<|im_end|>" },
		.assistant = { "<|im_start|>assistant<|im_sep|>", "<|im_end|>" },
		.prompt = "<|im_start|>assistant<|im_sep|>", .end = "<|im_end|>",
		.tokens = { "<|im_start|>", "<|im_sep|>", "<|im_end|>" },
	}, {
		.name = "qwen2.5", .models = "Qwen 2.5",
		.marks = { "<|im_start|>", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant." },
		CHATML_TURNS, .prompt = "<|im_start|>assistant\n",
		.system_default = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
	}, {
		.name = "qwen2", .models = "Qwen 2",
		.marks = { "<|im_start|>", "You are a helpful assistant.<|im_end|>" },
		CHATML_TURNS, .prompt = "<|im_start|>assistant\n", .system_default = "You are a helpful assistant.",
	}, {
		.name = "qwq", .models = "QwQ, Qwen 3 thinking models of 2507",
		.marks = { "<|im_start|>assistant\\n<think>\\n'" }, .absent = { "enable_thinking is false" },
		CHATML_TURNS, .prompt = "<|im_start|>assistant\n<think>\n",
		.flags = CHAT_DROP_THOUGHTS | CHAT_LSTRIP_ANSWER,
	}, {
		.name = "qwen3", .models = "Qwen 3",
		.marks = { "<|im_start|>", "</think>" },
		CHATML_TURNS, .prompt = "<|im_start|>assistant\n",
		.flags = CHAT_DROP_THOUGHTS | CHAT_LSTRIP_ANSWER,
	}, {
		.name = "chatml", .models = "Hermes, OpenHermes, Dolphin, SmolLM",
		.marks = { "<|im_start|>" },
		CHATML_TURNS, .prompt = "<|im_start|>assistant\n",
	}, {
		.name = "llama3.1", .models = "Llama 3.1, 3.2 and 3.3",
		.marks = { "<|start_header_id|>", "Cutting Knowledge Date" },
		LLAMA3_TURNS, .flags = CHAT_TRIM | CHAT_TRIM_ANSWER | CHAT_SYSTEM_ALWAYS,
		.system = { H3("system") "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n", "<|eot_id|>" },
	}, {
		.name = "llama3", .models = "Llama 3",
		.marks = { "<|start_header_id|>" },
		LLAMA3_TURNS, .flags = CHAT_TRIM | CHAT_TRIM_ANSWER,
		.system = { H3("system"), "<|eot_id|>" },
	}, {
		.name = "bitnet", .models = "BitNet b1.58 2B4T",
		.marks = { "| capitalize + ': '", "<|eot_id|>" }, .absent = { "GPT4 Correct" },
		BITNET_TURNS,
	}, {
		/* what its converter writes for any model is none that this one was trained on */
		.name = "bitnet-gguf", .models = "BitNet b1.58 2B4T in Microsoft's file",
		.marks = { "BITNETAssistant: " },
		BITNET_TURNS,
	}, {
		.name = "gemma", .models = "Gemma 1, 2 and 3",
		.marks = { "<start_of_turn>" },
		.begin = CHAT_BOS, .system = { "", "\n\n" }, .system_at = CHAT_SYSTEM_FIRST,
		.user = { "<start_of_turn>user\n", "<end_of_turn>\n" },
		.assistant = { "<start_of_turn>model\n", "<end_of_turn>\n" },
		.prompt = "<start_of_turn>model\n", .end = "<end_of_turn>",
		.tokens = { "<start_of_turn>", "<end_of_turn>" },
		.flags = CHAT_TRIM | CHAT_TRIM_ANSWER,
	}, {
		.name = "command-r", .models = "Command R, Command R+, Aya 23",
		.marks = { "<|CHATBOT_TOKEN|>" }, .absent = { "<|START_RESPONSE|>", "<|START_TEXT|>" },
		.begin = CHAT_BOS,
		.system = { "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>" },
		.user = { "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>" },
		.assistant = { "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>" },
		.prompt = "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", .end = "<|END_OF_TURN_TOKEN|>",
		.tokens = { "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>",
			    "<|CHATBOT_TOKEN|>" },
		.flags = CHAT_TRIM | CHAT_TRIM_ANSWER,
	}, {
		.name = "granite", .models = "Granite 3",
		.marks = { "<|start_of_role|>" },
		.system = { "<|start_of_role|>system<|end_of_role|>", "<|end_of_text|>\n" },
		.user = { "<|start_of_role|>user<|end_of_role|>", "<|end_of_text|>\n" },
		.assistant = { "<|start_of_role|>assistant<|end_of_role|>", "<|end_of_text|>\n" },
		.prompt = "<|start_of_role|>assistant<|end_of_role|>", .end = "<|end_of_text|>",
		.tokens = { "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>" },
	}, {
		.name = "deepseek3.1", .models = "DeepSeek V3.1, not thinking",
		.marks = { DS_ASSISTANT, "</think>", "thinking" }, .absent = { "<think>\\n" },
		.begin = CHAT_BOS, .system = { "", "" }, .user = { DS_USER, "" },
		.assistant = { DS_ASSISTANT "</think>", CHAT_EOS }, .prompt = DS_ASSISTANT "</think>",
		.tokens = { DS_USER, DS_ASSISTANT, "</think>" }, .flags = CHAT_DROP_THOUGHTS,
	}, {
		.name = "deepseek-r1", .models = "DeepSeek R1 and its distilled models",
		.marks = { DS_ASSISTANT "<think>" },
		.begin = CHAT_BOS, .system = { "", "" }, .user = { DS_USER, "" },
		.assistant = { DS_ASSISTANT, CHAT_EOS }, .prompt = DS_ASSISTANT "<think>\n",
		.tokens = { DS_USER, DS_ASSISTANT, "<think>" }, .flags = CHAT_DROP_THOUGHTS,
	}, {
		.name = "deepseek3", .models = "DeepSeek V2.5, V3; R1 as first published",
		.marks = { DS_ASSISTANT },
		.begin = CHAT_BOS, .system = { "", "" }, .user = { DS_USER, "" },
		.assistant = { DS_ASSISTANT, CHAT_EOS }, .prompt = DS_ASSISTANT,
		.tokens = { DS_USER, DS_ASSISTANT }, .flags = CHAT_DROP_THOUGHTS,
	}, {
		.name = "deepseek-coder", .models = "DeepSeek Coder 1",
		.marks = { "### Instruction:", "<|EOT|>" },
		.begin = CHAT_BOS, .system = { "", "" },
		.system_default = "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by "
			"Deepseek Company, and you only answer questions related to computer science. For politically "
			"sensitive questions, security and privacy issues, and other non-computer science questions, you "
			"will refuse to answer\n",
		.user = { "### Instruction:\n", "\n" }, .assistant = { "### Response:\n", "\n<|EOT|>\n" },
		.prompt = "### Response:\n", .end = "<|EOT|>", .tokens = { "<|EOT|>" },
	}, {
		.name = "deepseek", .models = "DeepSeek LLM, V2",
		.marks = { "'User: ' +", "'Assistant: ' + message['content'] + eos_token", "'Assistant:'" },
		.begin = CHAT_BOS, .system = { "", "\n\n" }, .user = { "User: ", "\n\n" },
		.assistant = { "Assistant: ", CHAT_EOS }, .prompt = "Assistant:",
	}, {
		.name = "phi4-mini", .models = "Phi-4-mini",
		.marks = { "<|end|>", "<|assistant|>", "<|tool|>" },
		.system = { "<|system|>", "<|end|>" }, .user = { "<|user|>", "<|end|>" },
		.assistant = { "<|assistant|>", "<|end|>" }, .prompt = "<|assistant|>", .end = "<|end|>",
		.tokens = { "<|system|>", "<|user|>", "<|assistant|>", "<|end|>" },
	}, {
		.name = "phi3", .models = "Phi-3, Phi-3.5",
		.marks = { "<|end|>", "<|assistant|>" }, .absent = { "[BEGIN FINAL RESPONSE]" },
		.system = { "<|system|>\n", "<|end|>\n" }, .user = { "<|user|>\n", "<|end|>\n" },
		.assistant = { "<|assistant|>\n", "<|end|>\n" }, .prompt = "<|assistant|>\n", .end = "<|end|>",
		.tokens = { "<|system|>", "<|user|>", "<|assistant|>", "<|end|>" },
	}, {
		.name = "zephyr", .models = "Zephyr, TinyLlama Chat, StableLM 2 Zephyr",
		.marks = { "<|user|>", "<|assistant|>", "eos_token" }, .absent = { "[gMASK]", "<|endoftext|>", "<|end|>" },
		.system = { "<|system|>\n", CHAT_EOS "\n" }, .user = { "<|user|>\n", CHAT_EOS "\n" },
		.assistant = { "<|assistant|>\n", CHAT_EOS "\n" }, .prompt = "<|assistant|>\n",
		.tokens = { "<|system|>", "<|user|>", "<|assistant|>" },
	}, {
		.name = "llama2", .models = "Llama 2 Chat, Code Llama Instruct",
		.marks = { "[INST]", "<<SYS>>" },
		.system = { "<<SYS>>\n", "\n<</SYS>>\n\n" }, .system_at = CHAT_SYSTEM_FIRST,
		.user = { CHAT_BOS "[INST] ", " [/INST]" }, .assistant = { " ", " " CHAT_EOS }, .prompt = "",
		.flags = CHAT_TRIM | CHAT_TRIM_ANSWER,
	}, {
		.name = "mistral-v7", .models = "Mistral Large 2411",
		.marks = { "[SYSTEM_PROMPT] ", "[INST] " },
		.begin = CHAT_BOS, .system = { "[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]" }, .user = { "[INST] ", "[/INST]" },
		.assistant = { " ", CHAT_EOS }, .prompt = "",
		.tokens = { "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]" },
	}, {
		.name = "mistral-v7-tekken", .models = "Mistral Small 2501 and later, Devstral, Magistral",
		.marks = { "[SYSTEM_PROMPT]", "[INST]" },
		.begin = CHAT_BOS, .system = { "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]" }, .user = { "[INST]", "[/INST]" },
		.assistant = { "", CHAT_EOS }, .prompt = "",
		.tokens = { "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]" },
	}, {
		.name = "mistral-v3", .models = "Mistral 7B v0.3, Mixtral 8x22B, Mistral Large 2407",
		.marks = { "[AVAILABLE_TOOLS]", "[INST] " },
		.begin = CHAT_BOS, .system = { "", "\n\n" }, .system_at = CHAT_SYSTEM_LAST,
		.user = { "[INST] ", "[/INST]" }, .assistant = { " ", CHAT_EOS }, .prompt = "",
		.tokens = { "[INST]", "[/INST]" }, .flags = CHAT_TRIM_ANSWER,
	}, {
		.name = "mistral-v3-tekken", .models = "Mistral Nemo, Ministral 8B",
		.marks = { "[AVAILABLE_TOOLS]", "[INST]" },
		.begin = CHAT_BOS, .system = { "", "\n\n" }, .system_at = CHAT_SYSTEM_LAST,
		.user = { "[INST]", "[/INST]" }, .assistant = { "", CHAT_EOS }, .prompt = "",
		.tokens = { "[INST]", "[/INST]" },
	}, {
		.name = "mistral-v1", .models = "Mistral 7B v0.2, Mixtral 8x7B, with a system text",
		.marks = { "' [INST] '" },
		.begin = CHAT_BOS, .system = { "", "\n\n" }, .system_at = CHAT_SYSTEM_FIRST,
		.user = { " [INST] ", " [/INST]" }, .assistant = { " ", CHAT_EOS }, .prompt = "",
	}, {
		.name = "mistral", .models = "Mistral 7B v0.1 and v0.2, Mixtral 8x7B, as first published",
		.marks = { "[INST]" },
		.begin = CHAT_BOS, .system = { "", "\n\n" }, .system_at = CHAT_SYSTEM_FIRST,
		.user = { "[INST] ", " [/INST]" }, .assistant = { "", CHAT_EOS }, .prompt = "",
	},
	{ .name = NULL },
};
