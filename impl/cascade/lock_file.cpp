#include "cascade/lock_file.hpp"

#include <algorithm>
#include <limits>

#include "cascade/serde_members.hpp"
#include "cascade/usage_reader.hpp"
#include "core/json_pretty.hpp"
#include "core/json_tape.hpp"
#include "core/json_writer.hpp"

namespace satchel::cascade {
namespace {

constexpr std::int64_t kUnreadableSeconds = 30;
constexpr std::int64_t kMostSeconds = 24 * 60 * 60;

std::optional<Lock> read_lock(std::string_view text) {
  core::JsonTape tape;
  if (!tape.read(text)) return std::nullopt;
  const auto members = serde_members<2>(tape.root(), {"blocked_until", "error"});
  if (!members) return std::nullopt;
  const std::optional<std::int64_t> until = read_integer((*members)[0]);
  if (!until) return std::nullopt;
  Lock lock{*until, {}};
  if (!is_none((*members)[1])) {
    lock.error = read_text((*members)[1]);
    if (!lock.error) return std::nullopt;
  }
  return lock;
}

}  // namespace

Lock read_lock_file(std::string_view text, core::Timestamp written_at) {
  if (std::optional<Lock> lock = read_lock(text)) return *lock;
  return {std::max<std::int64_t>(written_at.seconds, 0) + kUnreadableSeconds, {}};
}

Lock capped(Lock lock, core::Timestamp now) {
  lock.blocked_until = std::min(lock.blocked_until, now.seconds + kMostSeconds);
  return lock;
}

std::string write_lock_file(const Lock& lock) {
  core::JsonWriter out;
  out.begin_object().key("blocked_until").number(lock.blocked_until);
  if (lock.error) out.key("error").text(*lock.error);
  out.end_object();
  return core::pretty_json(out.take());
}

}  // namespace satchel::cascade
