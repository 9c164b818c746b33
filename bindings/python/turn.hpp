// One thread at a time, for the handles that ask for it.
#pragma once

#include <satchel/satchel.h>

#include "failure.hpp"

namespace satchel_python {

// Held from before a call until what it gave has been copied. The library watches only the call;
// its views are valid until the next one, which another thread could begin as soon as the call is
// over and before this thread has Python's lock again.
class Turn {
 public:
  // Throws BusyError while another thread, or a callback's caller, has its turn. Lock held.
  explicit Turn(bool& taken) : taken_(taken) {
    if (taken_) fail(SATCHEL_ERR_BUSY, "another thread, or the caller of this callback, is inside");
    taken_ = true;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { taken_ = false; }

 private:
  bool& taken_;
};

}  // namespace satchel_python
