#include "prompt_cache/config.hpp"

#include <algorithm>
#include <limits>

#include "core/config_reader.hpp"
#if SATCHEL_WITH_POSTGRES
#include "prompt_cache/postgres_backend.hpp"
#endif
#ifdef SATCHEL_WITH_REDIS
#include "prompt_cache/redis_backend.hpp"
#endif

namespace satchel::prompt_cache {

using core::ConfigReader;

namespace {

constexpr std::int64_t kMaxText = static_cast<std::int64_t>(core::kJsonMaxBytes);
constexpr std::int64_t kDay = 86'400'000;

void read_postgres(ConfigReader& reader, PostgresConfig& postgres) {
  reader.text("url", postgres.url);
  if (postgres.url.empty()) reader.reject("url", "PostgreSQL needs a connection string");
  reader.integer("pool", postgres.pool, 1, 1'000);
  reader.integer("pool_wait_ms", postgres.pool_wait_ms, 0, kDay);
  reader.integer("connect_timeout_ms", postgres.connect_timeout_ms, 1, kDay);
  reader.integer("lookup_timeout_ms", postgres.lookup_timeout_ms, 1, kDay);
  reader.integer("keep_expired_ms", postgres.keep_expired_ms, 0, 366 * kDay);
#if SATCHEL_WITH_POSTGRES
  if (postgres.url.empty()) return;
  if (core::Result<void> usable = check_postgres_config(postgres); !usable) {
    reader.reject("url", usable.error().message);
  }
#else
  reader.reject("url", "this library was built without PostgreSQL");
#endif
}

void read_redis(ConfigReader& reader, RedisConfig& redis) {
  reader.texts("urls", redis.urls);
  if (redis.urls.empty()) reader.reject("urls", "Redis needs at least one URL");
  reader.boolean("cluster", redis.cluster);
  reader.integer("pool", redis.pool, 1, 1'000);
  reader.integer("timeout_ms", redis.timeout_ms, 1, kDay);
  reader.integer("refresh_interval_ms", redis.refresh_interval_ms, 0, 60'000);
#ifdef SATCHEL_WITH_REDIS
  if (redis.urls.empty()) return;
  if (core::Result<void> usable = check_redis_config(redis); !usable) {
    reader.reject("urls", usable.error().message);
  }
#else
  reader.reject("urls", "this library was built without Redis");
#endif
}

void read_index(ConfigReader& reader, IndexConfig& index) {
  reader.text("kind", index.kind);
  const bool redis = index.kind == "redis";
  if (index.kind != "memory" && index.kind != "sqlite" && index.kind != "postgres" && !redis) {
    reader.reject("kind", "expected \"memory\", \"sqlite\", \"postgres\" or \"redis\", got \"" +
                              index.kind + "\"");
    return;
  }
  reader.integer("sweep_interval_ms", index.sweep_interval_ms, 10, kDay);
  if (index.kind == "memory") {
    reader.integer("max_entries", index.max_entries, 1, std::int64_t{1} << 32);
    return;
  }
  if (index.kind == "postgres" || redis) {
    if (!reader.has("postgres")) reader.reject("postgres", "this kind of index needs it");
    reader.object("postgres", [&](ConfigReader& part) { read_postgres(part, index.postgres); });
    if (!redis) return;
    if (!reader.has("redis")) reader.reject("redis", "this kind of index needs it");
    reader.object("redis", [&](ConfigReader& part) { read_redis(part, index.redis); });
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

void read_tokenizer(ConfigReader& reader, TokenizerConfig& tokenizer) {
  reader.text("url", tokenizer.url);
  if (!reader.has("url")) reader.reject("url", "a tokenizer is a service: it needs one");
  const std::string& url = tokenizer.url;
  const std::size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  if (scheme == 0) {
    reader.reject("url", "expected http://... or https://...");  // whatever it is, it stays unsaid
  } else if (url.find_first_of("?#", scheme) != std::string::npos) {
    reader.reject("url", "expected no query and no fragment");
  } else if (url.substr(scheme, url.find('/', scheme) - scheme).find('@') != std::string::npos) {
    reader.reject("url", "names a user: give the key as \"api_key\"");
  } else if (url.size() == scheme || url[scheme] == '/') {
    reader.reject("url", "names no host");
  }
  reader.text("api_key", tokenizer.api_key);
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(tokenizer.api_key.begin(), tokenizer.api_key.end(), is_control)) {
    reader.reject("api_key", "holds a control character: it cannot be sent in a header");
  }
  reader.text("ca_file", tokenizer.ca_file);
  reader.integer("timeout_ms", tokenizer.timeout_ms, 1, kDay);
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
    reader.object("tokenizer", [&](ConfigReader& part) { read_tokenizer(part, config.tokenizer); });
    reader.boolean("exact", config.exact);
    reader.boolean("inject", config.inject);
    reader.boolean("scrub", config.scrub);
    reader.integer("max_body_bytes", config.max_body_bytes, 1, kMaxText);
    reader.integer("max_response_bytes", config.max_response_bytes, 0, kMaxText);
    reader.integer("max_event_bytes", config.max_event_bytes, 1, kMaxText);
    reader.integer("classify_deadline_ms", config.classify_deadline_ms, 1, kDay);
    reader.integer("classify_threads", config.classify_threads, 1, 256);
    reader.integer("classify_queue", config.classify_queue, 1, 1'000'000);
    reader.integer("commit_deadline_ms", config.commit_deadline_ms, 1, kDay);
  });
  if (!read) return read.take_error();
  return config;
}

}  // namespace satchel::prompt_cache
