//! Documents as PDF: tickets with a QR code and names shaped in their own script
