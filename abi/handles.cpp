#include "handles.hpp"

#include <pthread.h>

#include <array>
#include <mutex>
#include <new>
#include <utility>

#include "core/library_thread.hpp"

namespace satchel::abi {

// The life of a slot, in one word so that a pin is one compare-and-swap:
//   bits 40..63  generation, never 0 while open
//   bit  39      open
//   bit  38      closing: no new pins
//   bits 0..37   calls inside
struct Slot {
  std::atomic<std::uint64_t> state{0};
  HandleType type = HandleType::kNone;
  std::uint32_t born_in = 0;     // the process, counted in forks
  std::uint32_t next_free = 0;   // the slot that was given back after this one
  const void* parent = nullptr;  // the handle it was opened from
  std::shared_ptr<void> object;
};

namespace {

static_assert(sizeof(void*) == 8, "handles need 64-bit pointers");

constexpr std::uint64_t kOpen = std::uint64_t{1} << 39;
constexpr std::uint64_t kClosing = std::uint64_t{1} << 38;
constexpr std::uint64_t kCalls = kClosing - 1;
constexpr int kGenerationShift = 40;
constexpr std::uint64_t kGenerations = std::uint64_t{1} << 24;

constexpr std::uint32_t kChunkSlots = 1024;
constexpr std::uint32_t kMaxChunks = 1024;
constexpr std::uint32_t kNoSlot = kMaxChunks * kChunkSlots;

// A handle: generation (24 bits), index (20 bits), and an odd tag that no aligned pointer has. It
// stays below 2^47, which is all that some languages keep of a pointer.
constexpr std::uint64_t kTag = 5;

std::atomic<std::uint32_t> forks{0};
thread_local const Pin* innermost = nullptr;

class HandleTable {
 public:
  // Around a fork: one while another thread holds the mutex would leave it locked for ever in the
  // child.
  void hold() { mutex_.lock(); }
  void release() { mutex_.unlock(); }

  void* open(HandleType type, std::shared_ptr<void> object, const void* parent) {
    std::uint32_t index = 0;
    Slot* slot = nullptr;
    {
      const std::lock_guard lock(mutex_);
      index = take_index();
      slot = &slot_at(index);
    }
    slot->type = type;
    slot->born_in = forks.load();
    slot->parent = parent;
    slot->object = std::move(object);
    std::uint64_t generation = slot->state.load() >> kGenerationShift;
    generation = (generation + 1) % kGenerations;
    if (generation == 0) generation = 1;
    slot->state.store(generation << kGenerationShift | kOpen, std::memory_order_release);
    const std::uint64_t number = generation << 23 | std::uint64_t{index} << 3 | kTag;
    return reinterpret_cast<void*>(number);  // NOLINT: a number dressed as a pointer
  }

  // The slot a handle names, and the generation it must have; null for what is no handle.
  Slot* find(const void* handle, std::uint64_t& generation, std::uint32_t& index) {
    const auto number = reinterpret_cast<std::uint64_t>(handle);
    if ((number & 7) != kTag || number >> 47 != 0) return nullptr;
    generation = number >> 23;
    index = static_cast<std::uint32_t>(number >> 3) & 0xfffff;
    Slot* chunk = chunks_[index / kChunkSlots].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &chunk[index % kChunkSlots];
  }

  void give_back(std::uint32_t index) {
    const std::lock_guard lock(mutex_);
    append_free(index);
  }

 private:
  Slot& slot_at(std::uint32_t index) {
    return chunks_[index / kChunkSlots].load(std::memory_order_relaxed)[index % kChunkSlots];
  }

  // The one that has been free for longest, so that a stale handle is recognised for longest.
  std::uint32_t take_index() {
    if (first_free_ == kNoSlot) add_chunk();
    const std::uint32_t index = first_free_;
    first_free_ = slot_at(index).next_free;
    return index;
  }

  void add_chunk() {
    if (used_chunks_ == kMaxChunks) throw std::bad_alloc();
    chunks_[used_chunks_].store(new Slot[kChunkSlots], std::memory_order_release);
    for (std::uint32_t i = 0; i < kChunkSlots; ++i) append_free(used_chunks_ * kChunkSlots + i);
    ++used_chunks_;
  }

  void append_free(std::uint32_t index) {
    slot_at(index).next_free = kNoSlot;
    (first_free_ == kNoSlot ? first_free_ : slot_at(last_free_).next_free) = index;
    last_free_ = index;
  }

  std::mutex mutex_;
  std::array<std::atomic<Slot*>, kMaxChunks> chunks_{};
  std::uint32_t used_chunks_ = 0;
  // The free slots, a list through themselves: closing needs no memory.
  std::uint32_t first_free_ = kNoSlot;
  std::uint32_t last_free_ = kNoSlot;
};

constinit HandleTable table;

// While the library is loaded, for the life of the process.
[[maybe_unused]] const int registered =
    pthread_atfork([] { table.hold(); }, [] { table.release(); },
                   [] {
                     table.release();
                     forks.fetch_add(1);
                   });

bool same_generation(std::uint64_t state, std::uint64_t generation) {
  return state >> kGenerationShift == generation && (state & kOpen) != 0;
}

void leave(Slot& slot) {
  const std::uint64_t before = slot.state.fetch_sub(1, std::memory_order_acq_rel);
  if ((before & kClosing) != 0 && (before & kCalls) == 1) slot.state.notify_all();
}

}  // namespace

// Whether this thread is inside a call on the handle, or on one that was opened from it.
bool pinned_by_this_thread(const Slot* slot, const void* handle) {
  for (const Pin* pin = innermost; pin != nullptr; pin = pin->outer_) {
    if (pin->slot_ == slot || pin->slot_->parent == handle) return true;
  }
  return false;
}

Pin::~Pin() {
  if (slot_ == nullptr) return;
  innermost = outer_;
  leave(*slot_);
}

std::shared_ptr<void> Pin::shared() const { return slot_->object; }

core::Status Pin::acquire(const void* handle, HandleType type) {
  std::uint64_t generation = 0;
  std::uint32_t index = 0;
  Slot* slot = table.find(handle, generation, index);
  if (slot == nullptr) return core::Status::kHandle;
  std::uint64_t state = slot->state.load(std::memory_order_acquire);
  do {
    if (!same_generation(state, generation) || (state & kClosing) != 0) {
      return core::Status::kHandle;
    }
  } while (!slot->state.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel));
  if (slot->type != type || slot->born_in != forks.load(std::memory_order_relaxed)) {
    const bool forked = slot->type == type;
    leave(*slot);
    return forked ? core::Status::kForked : core::Status::kHandle;
  }
  slot_ = slot;
  object_ = slot->object.get();
  outer_ = innermost;
  innermost = this;
  return core::Status::kOk;
}

core::Status Pin::acquire_outermost(const void* handle, HandleType type) {
  const core::Status status = acquire(handle, type);
  if (status != core::Status::kOk) return status;
  if (core::LibraryThread::here()) return core::Status::kBusy;
  for (const Pin* pin = outer_; pin != nullptr; pin = pin->outer_) {
    if (pin->slot_ == slot_) return core::Status::kBusy;
  }
  return status;
}

// Letting go of these waits for no thread: a callback may, that works with them or was given them.
static bool is_only_data(HandleType type) {
  return type == HandleType::kUsage || type == HandleType::kPrompt ||
         type == HandleType::kOutcome || type == HandleType::kUsageFilter ||
         type == HandleType::kToolResult;
}

void* open_handle(HandleType type, std::shared_ptr<void> object, const void* parent) {
  return table.open(type, std::move(object), parent);
}

core::Status close_handle(const void* handle, HandleType type) {
  std::uint64_t generation = 0;
  std::uint32_t index = 0;
  Slot* slot = table.find(handle, generation, index);
  if (slot == nullptr) return core::Status::kHandle;
  std::uint64_t state = slot->state.load(std::memory_order_acquire);
  if (!same_generation(state, generation) || slot->type != type) return core::Status::kHandle;
  // The threads that the object counts on did not survive the fork: it is left as it is.
  if (slot->born_in != forks.load()) return core::Status::kOk;
  const bool waits = core::LibraryThread::here() && !is_only_data(type);
  if (waits || pinned_by_this_thread(slot, handle)) return core::Status::kBusy;
  do {
    if (!same_generation(state, generation) || (state & kClosing) != 0) {
      return core::Status::kHandle;
    }
  } while (!slot->state.compare_exchange_weak(state, state | kClosing, std::memory_order_acq_rel));
  for (state = slot->state.load(std::memory_order_acquire); (state & kCalls) != 0;
       state = slot->state.load(std::memory_order_acquire)) {
    slot->state.wait(state, std::memory_order_acquire);
  }
  std::shared_ptr<void> object = std::move(slot->object);
  slot->state.store(generation << kGenerationShift, std::memory_order_release);
  table.give_back(index);
  return core::Status::kOk;
}

const char* handle_type_name(HandleType type) {
  switch (type) {
    case HandleType::kLibrary:
      return "satchel_library";
    case HandleType::kPromptCache:
      return "satchel_prompt_cache";
    case HandleType::kRequest:
      return "satchel_request";
    case HandleType::kPrompt:
      return "satchel_prompt";
    case HandleType::kUsageFilter:
      return "satchel_usage_filter";
    case HandleType::kOutcome:
      return "satchel_outcome";
    case HandleType::kToolCache:
      return "satchel_tool_cache";
    case HandleType::kToolResult:
      return "satchel_tool_result";
    case HandleType::kToolLease:
      return "satchel_tool_lease";
    case HandleType::kToolWriter:
      return "satchel_tool_writer";
    case HandleType::kCascade:
      return "satchel_cascade";
    case HandleType::kUsage:
      return "satchel_usage";
    case HandleType::kNone:
      break;
  }
  return "nothing";
}

}  // namespace satchel::abi
