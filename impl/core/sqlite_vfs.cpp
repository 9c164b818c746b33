#include "core/sqlite_vfs.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "core/process_wide.hpp"
#include "core/sqlite_fork.hpp"

namespace satchel::core {
namespace {

thread_local std::int64_t waits_left = -1;  // -1: unbounded

sqlite3_vfs* base = nullptr;  // set before ours is registered

// SQLite allocates it, zeroed or not, with room behind it for the base VFS's own file.
struct DatabaseFile {
  sqlite3_file head;
  WalIndex* wal_index;

  sqlite3_file* behind() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

DatabaseFile* of(sqlite3_file* file) { return reinterpret_cast<DatabaseFile*>(file); }
sqlite3_file* base_of(sqlite3_file* file) { return of(file)->behind(); }

int file_close(sqlite3_file* file) {
  sqlite3_file* behind = base_of(file);
  const int rc = behind->pMethods->xClose(behind);
  delete of(file)->wal_index;
  of(file)->wal_index = nullptr;
  return rc;
}

int file_read(sqlite3_file* file, void* out, int count, sqlite3_int64 at) {
  return base_of(file)->pMethods->xRead(base_of(file), out, count, at);
}

int file_write(sqlite3_file* file, const void* from, int count, sqlite3_int64 at) {
  return base_of(file)->pMethods->xWrite(base_of(file), from, count, at);
}

int file_truncate(sqlite3_file* file, sqlite3_int64 size) {
  return base_of(file)->pMethods->xTruncate(base_of(file), size);
}

int file_sync(sqlite3_file* file, int flags) {
  return base_of(file)->pMethods->xSync(base_of(file), flags);
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return base_of(file)->pMethods->xFileSize(base_of(file), size);
}

int file_lock(sqlite3_file* file, int level) {
  return base_of(file)->pMethods->xLock(base_of(file), level);
}

int file_unlock(sqlite3_file* file, int level) {
  return base_of(file)->pMethods->xUnlock(base_of(file), level);
}

int file_check_reserved(sqlite3_file* file, int* reserved) {
  return base_of(file)->pMethods->xCheckReservedLock(base_of(file), reserved);
}

int file_control(sqlite3_file* file, int operation, void* argument) {
  if (operation == SQLITE_FCNTL_MMAP_SIZE) return SQLITE_NOTFOUND;
  return base_of(file)->pMethods->xFileControl(base_of(file), operation, argument);
}

int file_sector_size(sqlite3_file* file) {
  return base_of(file)->pMethods->xSectorSize(base_of(file));
}

int file_characteristics(sqlite3_file* file) {
  return base_of(file)->pMethods->xDeviceCharacteristics(base_of(file));
}

int file_shm_map(sqlite3_file* file, int region, int bytes, int extend, void volatile** out) {
  return of(file)->wal_index->map(region, bytes, extend != 0, out);
}

int file_shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  return of(file)->wal_index->lock(offset, count, flags);
}

void file_shm_barrier(sqlite3_file* file) { of(file)->wal_index->barrier(); }

int file_shm_unmap(sqlite3_file* file, int /*delete_file*/) {
  of(file)->wal_index->unmap();
  return SQLITE_OK;
}

// Version 2: there is no xFetch, so that SQLite cannot ask for a mapped database.
constexpr sqlite3_io_methods kDatabaseMethods = {2,
                                                 file_close,
                                                 file_read,
                                                 file_write,
                                                 file_truncate,
                                                 file_sync,
                                                 file_size,
                                                 file_lock,
                                                 file_unlock,
                                                 file_check_reserved,
                                                 file_control,
                                                 file_sector_size,
                                                 file_characteristics,
                                                 file_shm_map,
                                                 file_shm_lock,
                                                 file_shm_barrier,
                                                 file_shm_unmap,
                                                 nullptr,
                                                 nullptr};

WalIndex* make_wal_index(const char* database_path) noexcept {
  try {
    return new WalIndex(std::string(database_path) + "-shm");
  } catch (const std::exception&) {
    return nullptr;
  }
}

int vfs_open(sqlite3_vfs* /*vfs*/, const char* name, sqlite3_file* file, int flags,
             int* out_flags) {
  // Journals, WAL and temporary files are used as the base has them.
  if ((flags & SQLITE_OPEN_MAIN_DB) == 0 || name == nullptr) {
    return base->xOpen(base, name, file, flags, out_flags);
  }
  file->pMethods = nullptr;
  WalIndex* wal_index = make_wal_index(name);
  if (wal_index == nullptr) return SQLITE_NOMEM;
  of(file)->wal_index = wal_index;
  const int rc = base->xOpen(base, name, base_of(file), flags, out_flags);
  if (rc != SQLITE_OK) {
    delete wal_index;
    return rc;
  }
  file->pMethods = &kDatabaseMethods;
  return SQLITE_OK;
}

int vfs_delete(sqlite3_vfs* /*vfs*/, const char* name, int sync_directory) {
  return base->xDelete(base, name, sync_directory);
}

int vfs_access(sqlite3_vfs* /*vfs*/, const char* name, int flags, int* out) {
  return base->xAccess(base, name, flags, out);
}

int vfs_full_pathname(sqlite3_vfs* /*vfs*/, const char* name, int size, char* out) {
  return base->xFullPathname(base, name, size, out);
}

int vfs_randomness(sqlite3_vfs* /*vfs*/, int count, char* out) {
  return base->xRandomness(base, count, out);
}

int vfs_sleep(sqlite3_vfs* /*vfs*/, int micros) {
  if (waits_left >= 0) {
    micros = static_cast<int>(std::min<std::int64_t>(micros, waits_left));
    waits_left -= micros;
    if (micros == 0) return 0;
  }
  return base->xSleep(base, micros);
}

int vfs_current_time(sqlite3_vfs* /*vfs*/, double* out) { return base->xCurrentTime(base, out); }

int vfs_last_error(sqlite3_vfs* /*vfs*/, int count, char* out) {
  return base->xGetLastError(base, count, out);
}

int vfs_current_time_int64(sqlite3_vfs* /*vfs*/, sqlite3_int64* out) {
  return base->xCurrentTimeInt64(base, out);
}

// Registered for the life of the process: the library is never unloaded. The name carries an
// address, so that a second copy of the library in this process has its own.
const char* register_vfs() {
  static char name[40];
  static sqlite3_vfs vfs{};
  base = sqlite3_vfs_find("unix");
  if (base == nullptr || base->iVersion < 2) return nullptr;
  std::snprintf(name, sizeof name, "satchel-%p", static_cast<void*>(&vfs));
  vfs.iVersion = 2;
  vfs.szOsFile = static_cast<int>(sizeof(DatabaseFile)) + base->szOsFile;
  vfs.mxPathname = base->mxPathname;
  vfs.zName = name;
  vfs.xOpen = vfs_open;
  vfs.xDelete = vfs_delete;
  vfs.xAccess = vfs_access;
  vfs.xFullPathname = vfs_full_pathname;
  vfs.xRandomness = vfs_randomness;
  vfs.xSleep = vfs_sleep;
  vfs.xCurrentTime = vfs_current_time;
  vfs.xGetLastError = vfs_last_error;
  vfs.xCurrentTimeInt64 = vfs_current_time_int64;
  return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK ? name : nullptr;
}

constinit ProcessWide<const char*> name_of_ours(register_vfs);

}  // namespace

const char* sqlite_vfs_name() {
  keep_sqlite_usable_after_fork();
  return name_of_ours.get();
}

WalIndex* wal_index_of(sqlite3* connection) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(connection, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
      file == nullptr || file->pMethods != &kDatabaseMethods) {
    return nullptr;
  }
  return of(file)->wal_index;
}

BoundedWaits::BoundedWaits(std::int64_t micros) { waits_left = micros; }

BoundedWaits::~BoundedWaits() { waits_left = -1; }

}  // namespace satchel::core
