#include "prompt_cache/config.hpp"

#include <limits>

#include "core/config_reader.hpp"

namespace satchel::prompt_cache {

using core::ConfigReader;

namespace {

constexpr std::int64_t kMaxText = static_cast<std::int64_t>(core::kJsonMaxBytes);
constexpr std::int64_t kDay = 86'400'000;

void read_index(ConfigReader& reader, IndexConfig& index) {
  reader.text("kind", index.kind);
  if (index.kind != "memory" && index.kind != "sqlite") {
    reader.reject("kind", "expected \"memory\" or \"sqlite\", got \"" + index.kind + "\"");
    return;
  }
  reader.integer("sweep_interval_ms", index.sweep_interval_ms, 10, kDay);
  if (index.kind == "memory") {
    reader.integer("max_entries", index.max_entries, 1, std::int64_t{1} << 32);
    return;
  }
  reader.text("path", index.path);
  if (index.path.empty()) reader.reject("path", "an index of kind \"sqlite\" needs a directory");
  reader.integer("max_bytes", index.max_bytes, 1 << 20, std::int64_t{1} << 50);
}

void read_tiers(ConfigReader& reader, TierPolicy& tiers) {
  std::vector<std::string> enabled;
  for (const Tier tier : tiers.enabled) enabled.emplace_back(tier_name(tier));
  reader.texts("enabled_ttls", enabled);
  if (enabled.empty()) reader.reject("enabled_ttls", "at least one tier must be enabled");
  tiers.enabled.clear();
  for (const std::string& name : enabled) {
    const std::optional<Tier> tier = tier_from_name(name);
    if (!tier) {
      reader.reject("enabled_ttls", "expected \"5m\", \"1h\" or \"24h\", got \"" + name + "\"");
      return;
    }
    tiers.enabled.push_back(*tier);
  }
  std::string fallback(tier_name(tiers.fallback));
  const bool given = reader.has("default_ttl");
  reader.text("default_ttl", fallback);
  const std::optional<Tier> tier = tier_from_name(fallback);
  if (!tier) {
    reader.reject("default_ttl", "expected \"5m\", \"1h\" or \"24h\", got \"" + fallback + "\"");
    return;
  }
  tiers.fallback = *tier;
  if (tiers.is_enabled(*tier)) return;
  if (given) {
    reader.reject("default_ttl", "\"" + fallback + "\" is not among enabled_ttls");
  } else if (!tiers.enabled.empty()) {
    tiers.fallback = tiers.enabled.front();
  }
}

void read_models(ConfigReader& reader, ModelTable& models) {
  if (reader.has("models")) models.clear();
  reader.named_objects("models", [&](const std::string& name, ConfigReader& model) {
    ModelConfig config{true, 1024};
    std::int64_t min_prefix_tokens = config.min_prefix_tokens;
    model.boolean("enabled", config.enabled);
    model.integer("min_prefix_tokens", min_prefix_tokens, 0,
                  std::numeric_limits<std::uint32_t>::max());
    config.min_prefix_tokens = static_cast<std::uint32_t>(min_prefix_tokens);
    models[name] = config;
  });
}

}  // namespace

core::Result<Config> read_prompt_cache_config(std::string_view text) {
  Config config;
  core::Result<void> read = core::read_config(text, [&](ConfigReader& reader) {
    reader.object("index", [&](ConfigReader& index) { read_index(index, config.index); });
    read_tiers(reader, config.policy.tiers);
    reader.object("telemetry", [&](ConfigReader& telemetry) {
      telemetry.texts("prefixes", config.policy.telemetry.prefixes);
      telemetry.boolean("strip", config.policy.telemetry.strip);
    });
    read_models(reader, config.models);
    reader.boolean("inject", config.inject);
    reader.boolean("scrub", config.scrub);
    reader.integer("max_body_bytes", config.max_body_bytes, 1, kMaxText);
    reader.integer("max_response_bytes", config.max_response_bytes, 0, kMaxText);
    reader.integer("max_event_bytes", config.max_event_bytes, 1, kMaxText);
    reader.integer("classify_deadline_ms", config.classify_deadline_ms, 1, kDay);
    reader.integer("commit_deadline_ms", config.commit_deadline_ms, 1, kDay);
  });
  if (!read) return read.take_error();
  return config;
}

}  // namespace satchel::prompt_cache
