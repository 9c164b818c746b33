# The library, its headers, and both ways to find them: find_package(satchel) gives
# satchel::satchel, pkg-config knows `satchel`.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/satchel")

install(TARGETS satchel EXPORT satchel-targets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/satchel" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT satchel-targets NAMESPACE satchel:: DESTINATION "${package_dir}")

# Until 1.0 a new minor version may change the contract.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/satchel-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_SOURCE_DIR}/cmake/satchel-config.cmake"
              "${PROJECT_BINARY_DIR}/satchel-config-version.cmake" DESTINATION "${package_dir}")

# Paths are relative to the .pc file, so that an installed tree can be moved.
file(RELATIVE_PATH SATCHEL_PC_INCLUDEDIR "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig"
     "/prefix/${CMAKE_INSTALL_INCLUDEDIR}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/satchel.pc.in" "${PROJECT_BINARY_DIR}/satchel.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/satchel.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
